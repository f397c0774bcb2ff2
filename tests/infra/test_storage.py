"""Containers and queues are those that the code names, and their rules spare what is in use."""

import re

import function_app
from shared.adapters.storage.account import CONTAINERS
from tests.infra.bicep_file import INFRA, BicepFile, string, strings, text, walk


def _data_account() -> BicepFile:
    return BicepFile(INFRA / "modules" / "storage.bicep")


def test_containers_are_the_codes() -> None:
    """Every container that an adapter opens is made, and besides only the one for dead letters."""
    source = _data_account()
    given = source.modules["data"][1]
    assert strings(given["containers"]) == list(CONTAINERS)
    assert "deadLetterContainer" in text(given["containers"])


def test_queues_are_the_codes() -> None:
    """The queues of the triggers are made, with those that the host writes what it gave up to."""
    given = _data_account().modules["data"][1]
    ours = [
        f"{queue}{end}"
        for queue in (
            function_app.ADVANCE,
            function_app.REQUESTED,
            function_app.NOTIFICATIONS,
            function_app.UPLOADS,
        )
        for end in ("", "-poison")
    ]
    assert strings(given["queues"]) == [*ours, "webjobs-blobtrigger-poison"]


def test_the_app_reaches_every_container() -> None:
    """Each container has a role for the app, Owner only where the blob trigger asks for it."""
    roles = BicepFile(INFRA / "modules" / "storage-roles.bicep")
    listed = re.findall(
        r"\{ container: '([\w-]+)', role: '([\w ]+)' \}", text(roles.variables["containerRoles"])
    )
    assert [container for container, _ in listed] == list(CONTAINERS)
    assert [container for container, role in listed if role == "Storage Blob Data Owner"] == ["uploads"]


def test_nothing_in_use_is_deleted_by_age() -> None:
    """Lifecycle rules leave uploads and content claims alone, and wait longer than the longest run."""
    prefixes = [
        string(prefix)
        for node in walk(_data_account().root)
        if node.type == "object_property" and text(node.named_children[0]) == "prefixMatch"
        for prefix in node.named_children[-1].named_children
    ]
    assert sorted(prefixes) == ["coordination/run/", "datasets/", "dead-letters/", "reports/", "runs/"]
    main = (INFRA / "main.bicep").read_text()
    shortest = {
        name: int(days)
        for days, name in re.findall(r"@minValue\((\d+)\)\nparam (\w+RetentionDays) int", main)
    }
    # 72 h of training, 12 h of faults, 168 h live; a record is written at every change besides.
    assert shortest["datasetRetentionDays"] * 24 > 72 + 12
    assert shortest["recordRetentionDays"] * 24 > 72 + 12 + 168
