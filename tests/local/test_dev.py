"""What `make dev` takes from its surroundings, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

from local import dev
from local.kept import Kept
from local.own_settings import own_settings


def test_settings_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    """The environment wins; what has no effect is said, with the nearest name."""
    file = tmp_path / ".env"
    file.write_text(
        "# mine\nWEBHOOK_URL=https://file.example\nexport ROW_POLICY='drop'\n"
        "MAX_EPOCH=3\nAZURE_CLIENT_ID=x\nNOISE=\n"
    )
    given = own_settings({"WEBHOOK_URL": "https://shell.example", "AZURE_TENANT_ID": "t", "HOME": "/"}, file)
    assert given.values == {"WEBHOOK_URL": "https://shell.example", "ROW_POLICY": "drop"}
    assert [complaint.partition(" ")[2] for complaint in given.complaints] == [
        "MAX_EPOCH is no setting of the app; did you mean MAX_EPOCHS?",
        "AZURE_CLIENT_ID is not taken, as the local stack has its own.",
        "NOISE is no setting of the app; docs/settings.md lists them.",
    ]
    assert own_settings({}, tmp_path / "none").values == {}


def test_a_kept_key_is_the_same_until_it_is_forgotten(tmp_path: Path) -> None:
    """And nobody else on the machine can read it."""
    kept = Kept(tmp_path)
    assert not kept.any
    first = kept.identity()
    assert kept.any
    assert Kept(tmp_path).identity() == first
    assert (tmp_path / "state" / "identity.json").stat().st_mode & 0o077 == 0
    kept.forget()
    assert kept.identity().function_key != first.function_key


class Misconfigured:
    """A stack whose app starts and cannot work."""

    def __init__(self, **given: Any) -> None:
        self.given = given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""


def test_an_app_that_is_misconfigured_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the app's own words, instead of a page that cannot work."""
    monkeypatch.setattr(dev, "Stack", Misconfigured)
    monkeypatch.setattr(dev, "exit_on_termination", lambda: None)
    monkeypatch.setattr(dev, "ignore_signals", lambda: None)
    monkeypatch.setattr(dev, "fault_of", lambda _: "settings: ROW_POLICY: is 'lenient'")
    assert dev.main(["--folder", str(tmp_path)]) == 1
    assert "The app is misconfigured. settings: ROW_POLICY: is 'lenient'" in capsys.readouterr().err
