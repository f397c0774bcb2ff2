"""What `make dev` tells once the stack is up: addresses, the key, and commands to paste."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.storage.blob import BlobClient, BlobSasPermissions, generate_blob_sas

from local.azurite import ACCOUNT, ACCOUNT_KEY
from local.settings import ROOT

if TYPE_CHECKING:
    from local.stack import Stack


def next_steps(stack: Stack) -> str:
    """The text for a running stack."""
    azure_ml = f"{stack.azureml_url} (CA: {stack.ca_bundle})"
    sample = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
    upload = _upload_address(stack.blob_connection_string, "first-try.jsonl")
    return f"""\
The stack is up. Ctrl-C stops it.

  functions  {stack.functions_url}
  key        {stack.function_key}
  storage    {stack.blob_connection_string}
  Azure ML   {azure_ml}
  logs       {stack.folder / "logs"}

Next steps, in another terminal:

  # see what runs
  curl -s -H "x-functions-key: {stack.function_key}" {stack.functions_url}/api/runs

  # upload a dataset; its run is listed a second later
  curl -s -X PUT -H "x-ms-blob-type: BlockBlob" --data-binary @{sample} \\
    "{upload}"
"""


def _upload_address(connection_string: str, name: str) -> str:
    """Where one blob can be put for a day, without a key."""
    with BlobClient.from_connection_string(connection_string, "uploads", name) as blob:
        signature = generate_blob_sas(
            ACCOUNT,
            "uploads",
            name,
            account_key=ACCOUNT_KEY,
            permission=BlobSasPermissions(create=True, write=True),
            expiry=datetime.now(UTC) + timedelta(days=1),
        )
        return f"{blob.url}?{signature}"
