"""The upload tool as it is run from a terminal, against a real Azurite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from tools import upload_dataset

SAMPLES = Path(__file__).parents[2] / "local" / "samples"
SAMPLE = SAMPLES / "ultrachat-sample.jsonl"
KEY = "key-of-this-test"


@pytest.fixture
def uploads(azurite: Azurite) -> Iterator[ContainerClient]:
    """The uploads container, empty."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = service.get_container_client("uploads")
        if not container.exists():
            container.create_container()
        for name in list(container.list_blob_names()):
            container.delete_blob(name)
        yield container


@pytest.fixture
def run(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the tool somewhere without a local stack; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINETUNE_FUNCTION_KEY", raising=False)

    def call(*arguments: object, target: bool = True) -> tuple[int, str, str]:
        where = ["--connection-string", azurite.connection_string] if target else []
        code = upload_dataset.main([*map(str, arguments), *where])
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return call


Run = Callable[..., tuple[int, str, str]]
