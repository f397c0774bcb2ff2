"""One thing has one name: names that were given up stay out of code, docs, infrastructure and the page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [
    *(
        ".github",
        "bench",
        "chaos",
        "dashboard",
        "docs",
        "emulators",
        "handlers",
        "infra",
        "local",
        "shared",
        "tests",
    ),
    *("finetune", "tools"),
]
FILES = [
    *("function_app.py", "host.json", "local.settings.json.example", "requirements.in", "pyproject.toml"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "Makefile"),
]
TEXT = {
    *(".py", ".md", ".js", ".css", ".html", ".bicep", ".json", ".sh", ".ps1", ".txt", ".example", ".toml"),
    *(".yml", ".in"),
}

GIVEN_UP = {
    r"news|Notice|put_down|note_stages": "notification",
    r"parked|unpark|parks?|PARKED": "suspended",
    r"hear_of|hear_of_job|take_message|schedule_advances": "a handler named for its event",
    r"take_place|has_place|places|PLACES": "slot, or location",
    r"sweep(?:er|s|_endpoints)?|what_is_left": "reconcile_resources, observe_remaining",
    r"wish|_asking": "request",
    r"GateRules|check_dataset|pinned_copy|PinnedCopy": "ValidationRules, validate_files, Snapshot",
    r"of_expected_form|may_come_later|unless_known": "validating_response, is_retryable",
    r"tagged_as_ours": "list_owned",
    r"JobFacts|SeenJob|SeenEndpoint|ModelFacts|EndpointFacts": "JobRecord, JobStatus, EndpointStatus",
    r"may_lose_answers|Shelf|shelves|mishap|mishaps|arena|kitchen\.py": "see docs/decisions/0010",
    r"HOSTILE|chances|gate_rules": "MALFORMED, probabilities, ValidationRules",
    r"local[./]azureml|local[./]host": "emulators/azureml, emulators/functions",
}
"""Pattern of what was given up, as whole words; what stands for it now."""

ELSEWHERE = {
    "tests/app/test_words.py",  # this list
    "docs/decisions/0010-names-and-rooms.md",  # says what was renamed
    "tests/chaos/test_wire.py",  # "no news"
    "emulators/azureml/tests/test_strictness.py",  # places in a document
    "emulators/azureml/azureml_emulator/server.py",  # a well-formed version
}


@cache
def _texts() -> dict[str, str]:
    """The content of each text of the project, by its path from the root."""
    found = [ROOT / name for name in FILES]
    for folder in FOLDERS:
        found += (path for path in (ROOT / folder).rglob("*") if path.suffix in TEXT)
    read = [path for path in found if not {"__pycache__", "node_modules"} & set(path.parts)]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in read}


@pytest.mark.parametrize("words", GIVEN_UP)
def test_names_that_were_given_up_stay_out(words: str) -> None:
    """The message says where an old name stands, and what to write instead."""
    # A word is also what stands between underscores.
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])")
    seen = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in _texts().items()
        if name not in ELSEWHERE and pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not seen, f"write {GIVEN_UP[words]} instead:\n" + "\n".join(seen)
