"""`run.json`: what it may say, and every fault in it found at once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.run.options import RunOptions
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, override_options
from tests.app.builders import OPTIONS


def override(value: Any) -> tuple[RunOptions, list[str]]:
    """Lay a decoded `run.json` over the usual options."""
    options, problems = override_options(OPTIONS, msgspec.json.encode(value))
    return options, [str(problem) for problem in problems]


def test_everything_can_be_overridden() -> None:
    """Each option replaces the setting; parameters are merged key by key."""
    defaults = msgspec.structs.replace(OPTIONS, parameters={"num_train_epochs": 3, "learning_rate": 1e-5})
    chosen = {
        "base_model": "Phi-4:7",
        "parameters": {"num_train_epochs": 1, "apply_lora": "false"},
        "compute": "serverless",
        "compute_size": "Standard_ND96asr_v4",
        "instance_type": "Standard_NC48ads_A100_v4",
        "instance_count": 2,
        "serving_concurrency": 16,
        "lifetime_hours": 0.5,
        "idle_minutes": 0,
        "row_policy": "drop",
        "force": True,
        "start_on_request": True,
        "available": "Mon-Fri 07:00-19:00 Europe/Berlin",
        "ignore_keys": ("lang",),
        "preference": "use_chosen",
        "vision": "drop_rows",
        "tools": "drop_rows",
        "pretemplated": "strip",
        "mask": "split",
        "evaluation_rows": 20,
        "promotion": "manual",
        "evaluate_base": True,
        "settle_seconds": 5,
    }
    beside = {"other_compute_sizes", "other_instance_types"}  # the rest of a list of sizes
    assert set(chosen) == {field.name for field in msgspec.structs.fields(RunOptions)} - beside
    options, problems = override_options(defaults, msgspec.json.encode(chosen))
    assert problems == []
    parameters = {"num_train_epochs": 1, "learning_rate": 1e-5, "apply_lora": "false"}
    assert msgspec.to_builtins(options) == {**chosen, "parameters": parameters, **dict.fromkeys(beside, ())}


def test_a_byte_order_mark_does_no_harm() -> None:
    """Editors of Windows put one there."""
    options, problems = override_options(OPTIONS, b'\xef\xbb\xbf{"force": true}')
    assert (options.force, problems) == (True, [])


def test_every_fault_is_named() -> None:
    """Unknown keys, wrong types and values out of range, all in one go; nothing is taken over."""
    options, problems = override(
        {
            "epochs": 3,
            "compute": "../other",
            "instance_count": 0,
            "lifetime_hours": "24",
            "row_policy": "lenient",
            "parameters": {"num_train_epochs": [1]},
            "idle_minutes": 5,
        }
    )
    assert options == OPTIONS
    named = ("epochs", "compute", "instance_count", "lifetime_hours", "row_policy", "parameters")
    assert len(problems) == len(named)
    for name in named:
        assert any(f"'{name}'" in problem for problem in problems), name


@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b'{"force": True}', b"[" * 100_000, b"1e999"],
)
def test_what_is_no_object_of_options_is_said_to_be_none(text: bytes) -> None:
    """Broken or nested JSON is a problem to report, never an exception."""
    options, problems = override_options(OPTIONS, text)
    assert options == OPTIONS
    assert len(problems) == 1


def test_too_much_is_too_much() -> None:
    """A file over the limit is not even parsed."""
    _, problems = override_options(OPTIONS, b" " * (OPTIONS_LIMIT_BYTES + 1))
    assert "64 KiB" in str(problems[0])


@pytest.mark.parametrize(
    "name", ["gpu cluster", "a/b", "a%2fb", "", "x" * 257, "-a", "gpu\n", "gpu?x=1", "a#b"]
)
def test_names_that_could_leave_their_place_in_an_address_are_refused(name: str) -> None:
    """Compute, model and size names become parts of addresses."""
    for option in ("compute", "base_model", "compute_size", "instance_type"):
        assert override({option: name})[1], option


@given(st.binary(max_size=200))
def test_any_bytes_give_options_or_problems(text: bytes) -> None:
    """Nothing that somebody uploads raises."""
    options, problems = override_options(OPTIONS, text)
    assert problems or isinstance(options, RunOptions)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in msgspec.structs.fields(RunOptions)]), json_values, max_size=4
    )
)
def test_what_is_taken_over_is_well_formed(chosen: dict[str, Any]) -> None:
    """Options that come out satisfy the declaration, whatever went in."""
    options, problems = override(chosen)
    if problems:
        assert options == OPTIONS
    else:
        assert msgspec.convert(msgspec.to_builtins(options), RunOptions) == options


def test_sizes_may_be_lists() -> None:
    """The preferred one first; a size alone has no others, whatever the settings have."""
    defaults = msgspec.structs.replace(OPTIONS, other_compute_sizes=("Standard_NC48ads_A100_v4",))
    text = b'{"compute_size": "Standard_NC24ads_A100_v4", "instance_type": ["A", "B"]}'
    options, problems = override_options(defaults, text)
    assert problems == []
    assert options.other_compute_sizes == ()
    assert (options.instance_type, options.other_instance_types) == ("A", ("B",))
    assert override_options(defaults, b"{}")[0].other_compute_sizes == ("Standard_NC48ads_A100_v4",)
    assert override_options(defaults, b'{"instance_type": []}')[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"base_model": "Phi 4"}, "'base_model': is 'Phi 4'; it must be <name>, <name>:<version>,"),
        ({"instance_count": 60}, "is 60; it must be a whole number, at least 1 and at most 50"),
        ({"lifetime_hours": "a day"}, "is 'a day'; it must be a number, above 0 and at most 8760"),
        ({"force": "yes"}, "is 'yes'; it must be true or false"),
        ({"row_policy": "lenient"}, "it must be one of: drop, strict"),
        ({"compute": "a b"}, "is 'a b'; it must be a name of at most 128 letters"),
        ({"parameters": []}, "is a list; it must be an object"),
        ({"base_modl": "Phi-4"}, "is not an option; did you mean 'base_model'?"),
    ],
)
def test_what_is_wrong_is_told_in_plain_words(wrong: dict[str, Any], words: str) -> None:
    """The key as it was given, the value, the rule, and the nearest spelling."""
    problems = override(wrong)[1]
    assert words in "; ".join(problems)
