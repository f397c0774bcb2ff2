"""Role ids are the named roles', each role that is granted is explained, and none is broader than that."""

import json
import re

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile, text, walk

ROLES = json.loads((INFRA / "roles.json").read_text())

# Source: learn.microsoft.com/azure/role-based-access-control/built-in-roles, written down here on its own.
BUILT_IN = {
    "AzureML Compute Operator": "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "Azure AI Enterprise Network Connection Approver": "b556d68e-0be0-4f35-a333-ad7ee1ce17ea",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
}


def test_role_ids_are_the_named_roles() -> None:
    """Each id is the built-in role's of that name."""
    assert ROLES == BUILT_IN


def test_role_ids_stand_in_one_place(bicep_files: list[BicepFile]) -> None:
    """Templates name roles; only roles.json knows their ids."""
    guid = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
    assert [file.path.name for file in bicep_files if guid.search(file.source.decode())] == []


def test_every_role_is_granted_somewhere_and_known(bicep_files: list[BicepFile]) -> None:
    """roles.json lists what the templates use, no more and no less."""
    named = {
        name
        for file in bicep_files
        for name in re.findall(
            r"'((?:Storage|AzureML|Azure AI|Monitoring|Key Vault) [\w ]+)'", file.source.decode()
        )
    }
    assert named == set(ROLES)


def test_custom_roles_allow_what_they_say(bicep_files: list[BicepFile]) -> None:
    """Scorers may score; the app may read what a region offers. Neither role can write anything."""
    actions = [
        re.findall(r"'([^']+)'", text(node.named_children[-1]))
        for file in bicep_files
        for node in walk(file.root)
        if node.type == "object_property" and text(node.named_children[0]) == "actions"
        if "Microsoft." in text(node)
    ]
    assert sorted(actions) == [
        ["Microsoft.MachineLearningServices/locations/*/read"],
        ["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"],
    ]


def test_security_page_explains_each_role() -> None:
    """docs/security.md has a line for every role that is granted."""
    page = (CHECKOUT / "docs" / "security.md").read_text()
    assert [role for role in [*ROLES, "Endpoint scorer", "Azure ML region reader"] if role not in page] == []
