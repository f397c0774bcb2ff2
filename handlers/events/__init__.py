"""One handler for each event: an upload, a queue message, an Event Grid event."""
