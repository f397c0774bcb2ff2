"""Where bytes are kept: the workspace's own blobs, and storage accounts outside the emulator."""
