"""Log lines say which run and why wherever they are read, and libraries keep quiet."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest

from shared.domain.errors import ServiceRefusedError
from shared.logs import get_logger
from shared.quiet import LIBRARIES, quiet_libraries

ROOT = Path(__file__).parents[2]
APP = [ROOT / "function_app.py", *sorted(ROOT.glob("handlers/**/*.py")), *sorted(ROOT.glob("shared/**/*.py"))]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def test_fields_are_in_the_text_and_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    """The host's log stream gets the text alone; queries go on using the fields."""
    get_logger("handlers.test").warning("run met a fault", extra={"run_id": "ft-a-1", "code": "Busy"})
    (record,) = caplog.records
    assert record.getMessage() == "run met a fault run_id=ft-a-1 code=Busy"
    assert (record.run_id, record.code) == ("ft-a-1", "Busy")  # type: ignore[attr-defined]
    assert (record.name, record.funcName) == ("handlers.test", "test_fields_are_in_the_text_and_beside_it")


@pytest.mark.parametrize("form", ["current", "given"])
def test_a_logged_exception_adds_its_code(form: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its own code if it is one of the app's, its type if not; a code that was given stays."""
    log = get_logger("handlers.test")
    for raised in (ServiceRefusedError("no", code="Quota"), KeyError("x")):
        try:
            raise raised
        except Exception as fault:
            shown = True if form == "current" else fault
            log.warning("run suspended", exc_info=shown, extra={"run_id": "ft-a-1"})
            log.exception("run suspended", extra={"code": "Given"})
    assert [record.getMessage() for record in caplog.records] == [
        "run suspended run_id=ft-a-1 code=Quota",
        "run suspended code=Given",
        "run suspended run_id=ft-a-1 code=KeyError",
        "run suspended code=Given",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("two words", '"two words"'),
        ("a\nrun suspended run_id=ft-b-2", r'"a\nrun suspended run_id=ft-b-2"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("100%s", "100%s"),
        ("", '""'),
        (None, "None"),
        (7, "7"),
        ("Zürich", "Zürich"),
        ("x" * 1_000, "x" * 200),
    ],
)
def test_a_value_cannot_pass_for_another_line(
    value: object, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What others sent stays one short word of one line."""
    get_logger("handlers.test").warning("said", extra={"reason": value})
    assert caplog.records[0].getMessage() == f"said reason={text}"


def test_every_line_of_the_app_is_written_this_way() -> None:
    """No module has a logger of another kind, and every message is a constant without arguments."""
    calls = 0
    for path in APP:
        tree = ast.parse(path.read_text())
        imported = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        opened = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger"
        ]
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            receiver = ast.unparse(node.func.value)
            assert not (receiver == "logging" and node.func.attr in LEVELS), f"{path}:{node.lineno}"
            if receiver == "_log" and node.func.attr in LEVELS:
                calls += 1
                (message,) = node.args
                assert isinstance(message, ast.Constant), f"{path}:{node.lineno}"
                assert isinstance(message.value, str)
        if path.name not in {"logs.py", "quiet.py"} and "logging" in imported:
            # Levels of a library's loggers may be set; lines are written by `get_logger` alone.
            assert all(".setLevel(" in ast.unparse(tree) for _ in opened), path
            assert "_log = get_logger(__name__)" in path.read_text() or "_log" not in path.read_text(), path
    assert calls > 30


def test_libraries_write_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the worker, or PYTHON_ENABLE_DEBUG_LOGGING, has set a level before the app is imported."""
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    try:
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.DEBUG)
        quiet_libraries()
        written = (
            "azure.core.pipeline.policies.http_logging_policy",
            "azure.functions",
            "urllib3.connectionpool",
        )
        for name in (*LIBRARIES, *written):
            assert not logging.getLogger(name).isEnabledFor(logging.INFO), name
            assert logging.getLogger(name).isEnabledFor(logging.WARNING), name
        assert logging.getLogger("shared").isEnabledFor(logging.INFO)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_libraries_are_quiet_before_anything_else_is_imported() -> None:
    """The worker's exporter runs already, and importing the app takes a while."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports[:2] == ["from __future__ import annotations", "import shared.quiet"]
