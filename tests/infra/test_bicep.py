"""The Bicep files parse and hold together. They do not prove that Azure takes them: `az bicep build` does."""

import json
import re

import pytest

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile, all_files, properties, string, text, walk

FILES = all_files()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_every_line_parses(file: BicepFile) -> None:
    """No file has a line that the grammar of Bicep does not know."""
    assert file.faults == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_every_name_is_declared_and_used(file: BicepFile) -> None:
    """A file refers only to what it declares, and declares nothing in vain."""
    assert file.undeclared_names == set()
    assert file.unused_names == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_every_parameter_is_described(file: BicepFile) -> None:
    """Whoever deploys reads what each parameter is for."""
    assert file.undescribed_parameters == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_modules_exist_and_get_their_parameters(file: BicepFile) -> None:
    """Each module's path leads to a file, which gets what it requires and no more than it takes."""
    for name, (path, given) in file.modules.items():
        target = BicepFile(file.path.parent / path)
        required = {parameter for parameter, must in target.parameters.items() if must}
        assert required <= set(given), name
        assert set(given) <= set(target.parameters), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_outputs_that_are_read_exist(file: BicepFile) -> None:
    """`module.outputs.x` is an output of that module."""
    for module, output in re.findall(r"\b(\w+)\.outputs\.(\w+)", file.source.decode()):
        target = BicepFile(file.path.parent / file.modules[module][0])
        assert output in target.outputs, f"{module}.outputs.{output}"


def test_resource_types_have_one_version_each(bicep_files: list[BicepFile]) -> None:
    """A resource type is spoken of in one version only, and no preview version."""
    versions: dict[str, set[str]] = {}
    for file in bicep_files:
        for declared in file.resources.values():
            kind, _, version = declared.partition("@")
            if version:
                versions.setdefault(kind, set()).add(version)
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}
    assert [kind for kind, found in versions.items() if any("preview" in version for version in found)] == []


def test_parameter_file_names_parameters(main_bicep: BicepFile) -> None:
    """main.parameters.json gives all that is required, nothing unknown, and optional values with defaults."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert {name for name, must in main_bicep.parameters.items() if must} <= set(given)
    assert set(given) <= set(main_bicep.parameters)
    for name, entry in given.items():
        if not main_bicep.parameters[name] and isinstance(entry["value"], str):
            assert re.fullmatch(r"\$\{[A-Z_]+=.*\}", entry["value"]), name


def test_parameter_file_has_the_defaults_of_the_template(main_bicep: BicepFile) -> None:
    """A value that azd fills in when nothing is set is the one that the template would take."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    defaults = {
        text(node.named_children[0]): text(node.named_children[-1]).strip("'")
        for node in main_bicep.root.named_children
        if node.type == "parameter_declaration"
    }
    for name, entry in given.items():
        default = re.fullmatch(r"\$\{[A-Z_]+=(.*)\}", str(entry["value"]))
        if default:
            assert default.group(1) == defaults[name], name


def test_accounts_take_no_keys_and_show_nothing(bicep_files: list[BicepFile]) -> None:
    """There is one way to make a storage account, and it is closed to keys and to the anonymous."""
    makers = [
        (file.path.name, node)
        for file in bicep_files
        for node in walk(file.root)
        if node.type == "resource_declaration"
        and "Microsoft.Storage/storageAccounts@" in text(node.named_children[1])
        and not any(child.type == "existing" for child in node.children)
    ]
    assert [name for name, _ in makers] == ["storage-account.bicep"]
    found = properties(properties(makers[0][1].named_children[-1])["properties"])
    assert text(found["allowSharedKeyAccess"]) == "false"
    assert text(found["allowBlobPublicAccess"]) == "false"
    assert text(found["minimumTlsVersion"]) == "'TLS1_2'"


def test_no_secrets_in_outputs_or_settings(bicep_files: list[BicepFile]) -> None:
    """Keys are listed only where Event Grid's webhook needs one, and are never an output."""
    listing = [file.path.name for file in bicep_files if b"listKeys" in file.source]
    assert listing == ["upload-subscription.bicep"]
    assert BicepFile(INFRA / "upload-subscription.bicep").outputs == set()


def test_base_model_still_fine_tunes(main_bicep: BicepFile) -> None:
    """The default is the local settings' too, and no retired model."""
    declared = next(
        node
        for node in main_bicep.root.named_children
        if node.type == "parameter_declaration" and text(node.named_children[0]) == "baseModel"
    )
    assert string(declared.named_children[-1]) == "Phi-4"
    assert '"BASE_MODEL": "Phi-4"' in (CHECKOUT / "local.settings.json.example").read_text()
