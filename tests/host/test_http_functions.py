"""HTTP functions: what reaches them, what callers get, and who may call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.host.conftest import RunningHost


def test_a_request_reaches_its_function_whole(http_host: RunningHost) -> None:
    """Method, address, headers, query, route values and body arrive as they were sent."""
    with http_host.client(**{"x-functions-key": http_host.key, "x-sample": "yes"}) as client:
        answer = client.post("/api/echo/a%20b/7?x=1&x=2&y=%C3%A9", content="Grüße".encode())
    assert answer.json() == {
        "method": "POST",
        "url": f"{http_host.url}/api/echo/a%20b/7?x=1&x=2&y=%C3%A9",
        "header": "yes",
        "params": {"x": "1,2", "y": "é"},
        "route": {"id": "a b", "part": "7"},
        "body": "Grüße",
    }


def test_a_response_reaches_its_caller_whole(http_host: RunningHost) -> None:
    """Status, headers and bytes are those that the function chose."""
    with http_host.client() as client:
        answer = client.post(f"/api/made?code={http_host.key}")
    assert (answer.status_code, answer.content) == (201, b"\x00\xff")
    assert answer.headers["location"] == "/api/made/1"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_bare_text_is_an_answer_and_nothing_is_none(http_host: RunningHost) -> None:
    """Text becomes a text answer; None is nothing that the worker can send."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        assert client.get("/api/closed").text == "opened"
        assert client.get("/api/nothing").status_code == 500


def test_a_request_is_cut_as_the_dotnet_host_cuts_it(http_host: RunningHost) -> None:
    """Empty query values are dropped, repeats joined with a comma, and undeclared bodies never read."""
    headers = [("x-functions-key", http_host.key), ("x-sample", "a"), ("X-Sample", "b")]
    with http_host.client() as client:
        answer = client.post(
            "/api/echo/1?empty=&bare&x=1&x=&x=2", headers=headers, content=iter([b"chunk", b"ed"])
        )
    seen = answer.json()
    assert (seen["params"], seen["header"], seen["body"]) == ({"x": "1,2"}, "a,b", "")


@pytest.mark.parametrize("key", [None, "", "wrong", "ключ"])
def test_a_function_key_is_needed(http_host: RunningHost, key: str | None) -> None:
    """Without the key a function of level FUNCTION is not run, and the answer is a problem."""
    with http_host.client() as client:
        answer = client.get("/api/echo/1", params={} if key is None else {"code": key})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401


def test_keys_open_what_they_are_for(http_host: RunningHost) -> None:
    """The key opens FUNCTION and ADMIN, and ANONYMOUS needs none."""
    with http_host.client() as client:

        def status(path: str, key: str) -> int:
            return client.get(path, headers={"x-functions-key": key}).status_code

        assert status("/api/echo/1", http_host.key) == 200
        assert status("/api/closed", http_host.key) == 200
        assert status("/api/closed", "wrong") == 401
        assert client.get("/api/open").text == "open_to_all 36"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api"),
        ("GET", "/apix/echo/1"),
        ("GET", "/api/unknown"),
        ("GET", "/api/echo/1/2/3"),
        ("DELETE", "/api/echo/1"),
        ("HEAD", "/api/echo/1"),
        ("GET", "/admin/unknown"),
        ("GET", "/runtime/webhooks/blobs"),
    ],
)
def test_what_is_not_served_is_not_found(http_host: RunningHost, method: str, path: str) -> None:
    """Unknown paths, unfit route values and other methods are 404 problems, as on the platform."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_encoded_slash_stays_in_its_segment(http_host: RunningHost) -> None:
    """`%2F` cannot reach over into another route, and literal routes win over catch-alls."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        assert client.get("/api/echo/..%2F..%2Fetc").json()["route"] == {"id": "..%2F..%2Fetc"}
        assert client.get("/api/files/special").text == "special"
        assert client.get("/api/files/a/b").text == "a/b"


def test_a_line_feed_is_a_character_like_any_other(http_host: RunningHost) -> None:
    """A path with %0A reaches its function."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        assert client.get("/api/files/a%0Ab").text == "a\nb"


def test_an_exception_is_a_problem_without_its_text(http_host: RunningHost) -> None:
    """The caller learns that it failed; the trace and the message are in the log alone."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        answers = [client.get("/api/failing"), client.get("/api/wrong")]
    for answer in answers:
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text
    raised = [record for record in http_host.records() if record["message"] == "Function raised"][-2:]
    assert "hunter2" in raised[0]["exception"]
    assert raised[0]["invocation_id"] in answers[0].json()["detail"]


def test_calls_of_one_function_run_side_by_side(http_host: RunningHost) -> None:
    """Two calls that wait for each other both end."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client, ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: client.get("/api/meet").text, range(2)))
    assert answers == ["met", "met"]


def test_invocations_are_logged_without_their_bodies(http_host: RunningHost) -> None:
    """One line an invocation, the app's extra fields kept, and no line with what was sent."""
    with http_host.client(**{"x-functions-key": http_host.key}) as client:
        client.post("/api/echo/logged", content=b"a very private body")
    echoed = [record for record in http_host.records() if record["message"] == "Echoed"][-1]
    assert echoed["run_id"] == "ft-1"
    lines = [
        record
        for record in http_host.records()
        if record["message"] == "Executed" and record["invocation_id"] == echoed["invocation_id"]
    ]
    assert [(line["function"], line["outcome"]) for line in lines] == [("echo", "succeeded")]
    assert lines[0]["milliseconds"] >= 0
    assert "private" not in http_host.process.output()
