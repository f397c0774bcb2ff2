"""The TLS certificate: made at the first start, and kept with the state where state is kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme


class Certificates(NamedTuple):
    """Files: the authority that clients trust, the server's chain, and its key."""

    authority: Path
    chain: Path
    key: Path


def ensure(folder: Path, host: str) -> Certificates:
    """The folder's certificates, made if they are not there yet.

    Args:
        folder: An existing folder.
        host: Name or address that the server is reached by, besides ``localhost``.
    """
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not all(path.exists() for path in files):
        authority = trustme.CA()
        issued = authority.issue_cert(host, "localhost")
        files.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(files.key))
        files.key.chmod(0o600)
        authority.cert_pem.write_to_path(str(files.authority))
    return files
