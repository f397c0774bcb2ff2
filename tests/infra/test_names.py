"""Names of resources keep Azure's rules whatever the environment is called.

Rules: learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
"""

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.infra.bicep_file import INFRA, BicepFile, properties, string

# azd's own check of environment names (azure-dev, pkg/environment).
ENVIRONMENT_NAMES = st.from_regex(r"[a-zA-Z0-9\-\(\)_\.]{1,64}", fullmatch=True)

# uniqueString gives 13 characters of base 32.
TOKENS = st.from_regex(r"[a-z2-7]{13}", fullmatch=True)

RULES = {
    "resourceGroup": r"[\w\-.()]{0,89}[\w\-()]",
    "appIdentity": r"[a-zA-Z0-9][a-zA-Z0-9\-_]{2,127}",
    "trainingIdentity": r"[a-zA-Z0-9][a-zA-Z0-9\-_]{2,127}",
    "hostStorage": r"[a-z0-9]{3,24}",
    "dataStorage": r"[a-z0-9]{3,24}",
    "workspaceStorage": r"[a-z0-9]{3,24}",
    "keyVault": r"[a-zA-Z](?!.*--)[a-zA-Z0-9\-]{1,22}[a-zA-Z0-9]",
    "apiKeyVault": r"[a-zA-Z](?!.*--)[a-zA-Z0-9\-]{1,22}[a-zA-Z0-9]",
    "workspace": r"[a-zA-Z0-9][\w\-]{2,32}",
    "logs": r"[a-zA-Z0-9][a-zA-Z0-9\-]{2,61}[a-zA-Z0-9]",
    "insights": r"[\w\-.()]{0,254}[\w\-()]",
    "plan": r"[a-zA-Z0-9\-]{1,60}",
    "functionApp": r"[a-zA-Z0-9][a-zA-Z0-9\-]{0,58}[a-zA-Z0-9]",
    "systemTopic": r"[a-zA-Z0-9\-]{3,50}",
    "actionGroup": r"[\w\-. ]{1,260}",
    "jobTopic": r"[a-zA-Z0-9\-]{3,50}",
    "network": r"[a-zA-Z0-9][\w\-.]{0,62}[a-zA-Z0-9_]",
}

# The function host takes a host id from the first 32 characters of the app's name: two apps that share
# them and a storage account would share locks.
HOST_ID_CHARACTERS = 32


@cache
def _names() -> dict[str, str]:
    main = BicepFile(INFRA / "main.bicep")
    return {key: string(node) for key, node in properties(main.variables["names"]).items()}


def test_every_name_has_a_rule() -> None:
    """No name escapes these checks."""
    assert set(_names()) == set(RULES)


@pytest.mark.parametrize("key", sorted(RULES))
@given(environment=ENVIRONMENT_NAMES, token=TOKENS)
def test_names_are_valid(key: str, environment: str, token: str) -> None:
    """Length and characters fit for any environment name."""
    name = _names()[key].replace("${environmentName}", environment).replace("${token}", token)
    assert "${" not in name
    assert re.fullmatch(RULES[key], name), name


def test_names_differ() -> None:
    """No two resources share a name, and only the resource group carries the environment's."""
    names = _names()
    assert len(set(names.values())) == len(names)
    assert [key for key, name in names.items() if "${token}" not in name] == ["resourceGroup"]


def test_app_name_is_short_enough_for_a_host_id() -> None:
    """Host ids of two environments differ."""
    assert len(_names()["functionApp"].replace("${token}", "t" * 13)) <= HOST_ID_CHARACTERS


def test_action_group_short_name() -> None:
    """Its short name has at most 12 characters."""
    short = re.findall(r"groupShortName: '([^']+)'", (INFRA / "modules" / "alerts.bicep").read_text())
    assert len(short) == 1
    assert len(short[0]) <= 12
