"""Shared access signatures that open the workspace's own storage account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azureml_emulator.core.http import Request
from azureml_emulator.core.state import EmulatorState


def shared_access_signature(state: EmulatorState) -> str:
    """A query string that opens the workspace's account for an hour."""
    expires = int(state.clock.now().timestamp()) + 3600
    signature = state.issuer.issue({"aud": "storage", "exp": expires})
    until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"?sv=2025-01-05&sig={signature}&se={quote(until)}&srt=co&ss=bf&sp=rcuwdl"


def upload_location(state: EmulatorState, request: Request, name: str) -> dict[str, Any]:
    """Where a client may put the bytes of an asset that is about to be: a container served here."""
    container = f"{request.base}/{name.lower()}"
    return {
        "blobReferenceForConsumption": {
            "blobUri": container,
            "storageAccountArmId": None,
            "credential": {
                "credentialType": "SAS",
                "sasUri": container + shared_access_signature(state),
            },
        }
    }
