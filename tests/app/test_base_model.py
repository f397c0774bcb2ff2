"""Base models: both spellings of the registry's metadata, and what preflight makes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRunError
from shared.domain.training.base_model import (
    UNSUPPORTED_SIZES,
    BaseModel,
    check_base_model,
    check_deployment_size,
    check_training_size,
    parse_base_model,
)
from tests.app.builders import NOW
from tests.app.catalogue import MODELS, PHI_3, model_body

RETIRED = datetime(2025, 8, 30, tzinfo=UTC)
TAGS = MODELS[PHI_3]["2026-05"]["tags"]


def parse(body: dict[str, Any], name: str = PHI_3) -> BaseModel:
    """Read a body as the adapter does."""
    return parse_base_model(name, body["name"], body)


@pytest.mark.parametrize("quote", [repr, json.dumps])
@pytest.mark.parametrize("month", ["2026-05", "2026-07"])
def test_both_spellings_say_the_same(month: str, quote: Any) -> None:
    """Sizes, dates, defaults and context are found in tags or in `system_metadata`, Python or JSON."""
    model = parse(model_body(month, quote=quote))
    assert model.finetune_retirement == RETIRED
    assert model.finetune_sizes == tuple(TAGS["finetune_compute_allow_list"])
    assert model.inference_sizes == tuple(TAGS["inference_compute_allow_list"])
    assert model.defaults == TAGS["model_specific_defaults"]
    assert model.archived is (month == "2026-07")


def test_a_model_that_says_nothing_is_not_refused() -> None:
    """Without lists and dates everything is allowed but what is known not to work."""
    model = parse_base_model("m", "1", {"id": "azureml://m", "properties": None})
    check_base_model(model, allow_retired=False, now=NOW)
    check_training_size(model, "Standard_NC24ads_A100_v4")
    check_deployment_size(model, "Standard_DS3_v2")
    for size in UNSUPPORTED_SIZES:
        with pytest.raises(InvalidRunError, match="not supported for fine-tuning"):
            check_training_size(model, size.upper())


def test_a_withdrawn_model_is_refused_unless_allowed() -> None:
    """Archived or past its retirement date, to the minute; a setting lets it through."""
    retired = parse(model_body("2026-05"))
    check_base_model(retired, allow_retired=False, now=datetime(2025, 8, 29, 23, 59, tzinfo=UTC))
    with pytest.raises(InvalidRunError, match=r"retired from fine-tuning on 2025-08-30.*ALLOW_RETIRED_MODEL"):
        check_base_model(retired, allow_retired=False, now=RETIRED)
    archived = parse(model_body("2026-07"))
    with pytest.raises(InvalidRunError, match=r"version 15 is archived.*ALLOW_RETIRED_MODEL"):
        check_base_model(archived, allow_retired=False, now=NOW)
    check_base_model(archived, allow_retired=True, now=NOW)


def test_sizes_are_checked_whatever_their_case() -> None:
    """Azure spells VM sizes in several ways; the message names the setting and what is allowed."""
    model = parse(model_body("2026-05"))
    check_training_size(model, "STANDARD_nc24ads_a100_v4")
    check_deployment_size(model, "standard_nc6s_v3")
    with pytest.raises(InvalidRunError, match=r"training .*COMPUTE_SIZE.*Standard_NC24ads_A100_v4"):
        check_training_size(model, "Standard_NC6s_v3")
    with pytest.raises(InvalidRunError, match=r"deploying .*DEPLOYMENT_INSTANCE_TYPE"):
        check_deployment_size(model, "Standard_DS3_v2")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "FinetuneRetirementDate",
    "finetune_compute_allow_list",
    "inference_compute_allow_list",
    "model_specific_defaults",
    "textContextWindow",
    "supportedComputes",
    "deprecation",
)


@given(
    st.dictionaries(st.sampled_from(KEYS), values), st.dictionaries(st.sampled_from(KEYS), values) | values
)
def test_whatever_a_publisher_writes_can_be_read(tags: dict[str, Any], system: Any) -> None:
    """Tags are free text: a strange one is as good as none, and never an exception."""
    body = {"id": "azureml://m", "properties": {"tags": tags, "system_metadata": system}}
    model = parse_base_model("m", "1", body)
    assert model.finetune_sizes is None or all(isinstance(size, str) for size in model.finetune_sizes)
    assert isinstance(dict(model.defaults), dict)
