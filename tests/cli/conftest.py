"""The upload tool as it is run from a terminal, against a real Azurite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from finetune.cli import target as targets
from finetune.cli.program import main
from finetune.client import Client
from local.azurite import Azurite
from tests.cli.answers import App, Call

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
    monkeypatch.setattr(targets, "STACK", tmp_path / "stack.json")
    for setting in (targets.URL_SETTING, targets.KEY_SETTING, targets.STORAGE_SETTING):
        monkeypatch.delenv(setting, raising=False)

    def call(*arguments: object, target: bool = True) -> tuple[int, str, str]:
        where = ["--storage", azurite.connection_string] if target else []
        code = main(["upload", *map(str, arguments), *where])
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return call


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> App:
    """The app, and nothing that leads to another."""
    played = App()
    monkeypatch.setattr(targets, "STACK", tmp_path / "stack.json")
    monkeypatch.delenv(targets.URL_SETTING, raising=False)
    monkeypatch.delenv(targets.KEY_SETTING, raising=False)

    def client(url: str, key: str, *, patience_seconds: float) -> Client:
        return Client(url, key, patience_seconds=patience_seconds, transport=httpx.MockTransport(played))

    monkeypatch.setattr(targets, "Client", client)
    return played


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line; returns exit code, stdout and stderr."""

    def run(*arguments: str, key: str = "the-key") -> tuple[int, str, str]:
        command, *rest = arguments
        code = main([command, "--url", "https://app.example", "--key", key, *rest])
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return run
