"""azure-ai-ml's assets: data, models, environments, components with their code, and an own registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azureml_emulator import Emulator
from emulator_rest import conversation, jsonl, unasked


@pytest.fixture(scope="module")
def own_registry(sdk_emulator: Emulator) -> Any:
    """A client of the registry that takes assets."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient(DefaultAzureCredential(), registry_name=sdk_emulator.settings.registry)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of one conversation."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl([conversation(1)]))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The least that makes a model's folder."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "MLmodel").write_text("flavors: {}\n")
    return path


def test_data(client: Any, rows: Path) -> None:
    """A local file becomes a version, found by version and by label; the next one is numbered."""
    from azure.ai.ml.entities import Data

    first = client.data.create_or_update(Data(name="rows", type="uri_file", path=str(rows)))
    rows.write_bytes(jsonl([conversation(2)]))
    second = client.data.create_or_update(Data(name="rows", type="uri_file", path=str(rows)))
    assert (first.version, second.version) == ("1", "2")
    assert client.data.get("rows", label="latest").path == second.path
    assert client.data.get("rows", version="1").path == first.path
    assert [one.version for one in client.data.list("rows")] == ["2", "1"]
    assert [one.name for one in client.data.list()] == ["rows"]


def test_models(client: Any, folder: Path) -> None:
    """A local folder becomes a version, found by version and by label, and can be hidden."""
    from azure.ai.ml.entities import Model

    made = [
        client.models.create_or_update(Model(path=str(folder), type="mlflow_model", name="folder"))
        for _ in range(2)
    ]
    assert [one.version for one in made] == ["1", "2"]
    assert client.models.get("folder", version="1").id == made[0].id
    assert client.models.get("folder", label="latest").id == made[1].id
    assert [one.name for one in client.models.list()] == ["folder"]
    client.models.archive("folder", version="1")
    assert [one.version for one in client.models.list("folder")] == ["2"]


def test_environments(client: Any) -> None:
    """Other contents make a new version, the same ones do not."""
    from azure.ai.ml.entities import Environment

    def put(image: str) -> str:
        return str(client.environments.create_or_update(Environment(name="env", image=image)).version)

    assert [put("images/first"), put("images/second"), put("images/second")] == ["1", "2", "2"]
    assert client.environments.get("env", version="1").image == "images/first"
    assert client.environments.get("env", label="latest").image == "images/second"
    assert [one.version for one in client.environments.list("env")] == ["2", "1"]
    assert [one.name for one in client.environments.list()] == ["env"]


def test_components_and_their_code(sdk_emulator: Emulator, client: Any, tmp_path: Path) -> None:
    """A folder of code is uploaded once; versions are numbered; the one without a label is the latest."""
    from azure.ai.ml.entities import CommandComponent

    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("print('trained')\n")

    def put() -> Any:
        component = CommandComponent(
            name="comp", command="python train.py", code=str(code), environment="azureml:env:1"
        )
        return client.components.create_or_update(component)

    first, second = put(), put()
    assert (first.version, second.version) == ("1", "2")
    assert first.code == second.code
    assert len(sdk_emulator.calls("codes.put")) == 1
    assert client.components.get("comp", version="1").command == "python train.py"
    assert client.components.get("comp", label="latest").version == "2"
    assert client.components.get("comp").version == "2"
    assert [one.version for one in client.components.list("comp")] == ["2", "1"]
    assert [one.name for one in client.components.list()] == ["comp"]


def test_data_of_a_registry(own_registry: Any, rows: Path) -> None:
    """A local file is uploaded and put by a long-running operation."""
    from azure.ai.ml.entities import Data

    data = Data(name="rows", version="7", type="uri_file", path=str(rows))
    assert own_registry.data.create_or_update(data).version == "7"
    assert own_registry.data.get("rows", version="7").name == "rows"
    assert own_registry.data.get("rows", label="latest").version == "7"
    assert [one.version for one in own_registry.data.list("rows")] == ["7"]


def test_models_of_a_registry(own_registry: Any, folder: Path) -> None:
    """Versions are numbered, and found by version and by label."""
    from azure.ai.ml.entities import Model

    made = [
        own_registry.models.create_or_update(Model(name="m", type="mlflow_model", path=str(folder)))
        for _ in range(2)
    ]
    assert [one.version for one in made] == ["1", "2"]
    assert own_registry.models.get("m", version="1").id == made[0].id
    assert own_registry.models.get("m", label="latest").id == made[1].id
    assert [one.version for one in own_registry.models.list("m")] == ["2", "1"]


def test_blobs_by_the_datastores_own_signature(sdk_emulator: Emulator, client: Any) -> None:
    """azure-storage-blob makes a container, writes, lists and deletes with what the datastore gives out."""
    from azure.storage.blob import ContainerClient

    store = client.datastores.get("workspaceblobstore", include_secrets=True)
    address = f"{sdk_emulator.url}/some-container?{store.credentials.sas_token.removeprefix('?')}"
    with ContainerClient.from_container_url(address) as container:
        container.create_container()
        container.upload_blob("name", b"bytes")
        assert [one.name for one in container.list_blobs()] == ["name"]
        assert container.download_blob("name").readall() == b"bytes"
        container.delete_blob("name")
        assert list(container.list_blobs()) == []


def test_every_operation_on_assets_was_asked(sdk_emulator: Emulator) -> None:
    """By the SDK, above: an operation that no client of this file uses fails here."""
    assert unasked(sdk_emulator, of_assets=True) == set()
    assert [call for call in sdk_emulator.calls() if call["status"] == 501] == []
