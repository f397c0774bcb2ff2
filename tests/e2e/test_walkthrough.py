"""The notebook's walk-through, against an emulator."""

from __future__ import annotations

import pytest
from azureml_emulator import Emulator

from local.samples import walkthrough


def test_the_whole_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every section in order: a model with losses is trained, answers in the dataset's words, and is gone."""
    with Emulator(pace="instant", strict=True) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        outcome = walkthrough.run(emulator)
        assert outcome["metrics"]["eval_loss"] > 0
        assert outcome["endpoints_left"] == []
        assert set(outcome["reply"].split()) & set(walkthrough.SAMPLE.read_text().split())
        assert [call for call in emulator.calls() if call["status"] in (None, 501)] == []
