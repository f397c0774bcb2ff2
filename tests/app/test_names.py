"""Names: which uploads open a run, and what everything of a run is called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.run.names import Upload, is_run_id, model_name, parse_upload, run_id_for, slug

ENDPOINT_NAME = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


@pytest.mark.parametrize(
    ("path", "upload"),
    [
        ("support.jsonl", Upload("support", None, ".jsonl")),
        ("support.jsonl.gz", Upload("support", None, ".jsonl.gz")),
        ("support/train.jsonl", Upload("support", "support/", ".jsonl")),
        ("support/train.jsonl.zst", Upload("support", "support/", ".jsonl.zst")),
        ("v1.2 final.jsonl", Upload("v1.2 final", None, ".jsonl")),
        ("支持/train.jsonl", Upload("支持", "支持/", ".jsonl")),
        ("Support.JSONL", Upload("Support", None, ".jsonl")),
        ("support/Train.Jsonl.GZ", Upload("support", "support/", ".jsonl.gz")),
        ("support.ndjson", Upload("support", None, ".ndjson")),
        ("team/a/train.jsonl", Upload("team/a", "team/a/", ".jsonl")),
        ("a#b?c%20.jsonl", Upload("a#b?c%20", None, ".jsonl")),
    ],
)
def test_a_dataset_opens_a_run(path: str, upload: Upload) -> None:
    """`<dataset>.jsonl` and `<dataset>/train.jsonl` open a run, compressed or not, in any script and case."""
    assert parse_upload(path) == upload


NO_UPLOADS = (
    "",
    ".jsonl",
    "support",
    "support.json",
    "support.jsonl.bak",
    "support/run.json",
    "support/validation.jsonl",
    "support/test.jsonl",
    "support/other.jsonl",
    "/train.jsonl",
    "/support.jsonl",
    "./train.jsonl",
    "../train.jsonl",
    "../runs/train.jsonl",
    "a/../train.jsonl",
    "a/b.jsonl",
    "a/./train.jsonl",
    "a//train.jsonl",
    "a\\train.jsonl",
    "a\n.jsonl",
    "a\x00.jsonl",
    "a\x85/train.jsonl",
    " .jsonl",
    "x" * 129 + ".jsonl",
)


def test_everything_else_is_ignored() -> None:
    """Companions, options, other files, and names that mean to leave the container open nothing."""
    assert [path for path in NO_UPLOADS if parse_upload(path) is not None] == []


@given(st.text(max_size=200), st.text(min_size=1, max_size=40))
def test_any_accepted_upload_gets_a_usable_run_id(stem: str, etag: str) -> None:
    """A run id is an endpoint name, a blob prefix and its own proof, whatever the upload is called."""
    path = f"{stem}.jsonl"
    if parse_upload(path) is None:
        return
    run_id = run_id_for("uploads", path, etag)
    assert is_run_id(run_id)
    assert 3 <= len(run_id) <= 32
    assert ENDPOINT_NAME.fullmatch(run_id)


def test_the_run_id_is_stable_and_tells_versions_apart() -> None:
    """Path and ETag decide, quotes or not; another version, path or container is another run."""
    first = run_id_for("uploads", "support.jsonl", '"0x8D1"')
    assert first == run_id_for("uploads", "support.jsonl", "0x8D1")
    assert first == "ft-support-0c9a8c923f"
    others = {
        run_id_for("uploads", "support.jsonl", '"0x8D2"'),
        run_id_for("uploads", "support/train.jsonl", '"0x8D1"'),
        run_id_for("elsewhere", "support.jsonl", '"0x8D1"'),
    }
    assert len(others) == 3
    assert first not in others


NO_RUN_IDS = (
    "",
    "support",
    "ft-",
    "ft--0123456789",
    "ft-a-012345678",
    "ft-a-0123456789\n",
    "ft-A-0123456789",
    "ft-a/../b-0123456789",
    "../ft-a-0123456789",
    "ft-é-0123456789",
    "ft-a--b-0123456789",
    "ft-" + "a" * 17 + "-0123456789" + "0" * 10,
)


def test_what_is_no_run_id_is_recognised() -> None:
    """Anything that could leave a container or a URL segment is not a run id."""
    assert [text for text in NO_RUN_IDS if is_run_id(text)] == []


@given(st.text(max_size=300), st.integers(min_value=1, max_value=100))
def test_a_slug_is_plain(text: str, limit: int) -> None:
    """Lower-case letters, digits, single inner hyphens, never empty, never longer than asked."""
    made = slug(text, limit)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= max(limit, len("data"))


@given(st.text(max_size=300), st.text(max_size=128))
def test_a_model_name_is_one_that_azure_ml_takes(base: str, dataset: str) -> None:
    """Whatever base model and dataset are called, the model's name has Azure ML's form."""
    assert MODEL_NAME.fullmatch(model_name(base, dataset))


def test_a_model_is_named_after_base_and_dataset() -> None:
    """The name says what was tuned on what."""
    assert model_name("Phi-3.5-mini", "Großer Support/train") == "Phi-3.5-mini-groer-support-train"
