"""Whatever is sent to the app over HTTP, it is answered, and never by a server error."""

from __future__ import annotations

import math
import string
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.stack import Stack

ROUTES = (
    ("GET", "/api/runs"),
    ("GET", "/api/runs/{}"),
    ("GET", "/api/runs/{}/report"),
    ("POST", "/api/runs/{}/cancel"),
    ("POST", "/api/runs/{}/retry"),
    ("POST", "/api/endpoints/{}/score"),
    ("POST", "/api/endpoints/{}/extend"),
    ("DELETE", "/api/endpoints/{}"),
    ("GET", "/api/dashboard/{}"),
)
NASTY = (
    *("..", "../../uploads/x", "..%2f..%2fclaims", "%2e%2e", "ft-a-0123456789/../../coordination/run"),
    *("ft-a-0123456789%00", "ft-a-0123456789\r\nx: y", "ft-a-0123456789?comp=lease", "ft-" + "a" * 4_000),
    *(
        "ft-a-012345678g",
        "FT-A-0123456789",
        "ft-a-0123456789.json",
        "content/0123",
        "$web",
        "\u202e",
        "\ud83d\ude00",
    ),
)
names = st.one_of(
    st.sampled_from(NASTY),
    st.from_regex(r"\Aft-[a-z0-9-]{1,16}-[0-9a-f]{10}\Z"),
    st.text(max_size=60).filter(lambda text: text.isprintable() or text.isascii()),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)
known = st.dictionaries(
    st.sampled_from(["hours", "messages", "input_data", "parameters", "params", "model", "stream"]), values
)
bodies = st.binary(max_size=200) | (values | known).map(lambda value: repr(value).encode("utf-8", "replace"))
json_bodies = known.map(lambda value: httpx.Request("POST", "http://x", json=_finite(value)).content)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key.encode("utf-8", "replace").decode(): _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@settings(suppress_health_check=list(HealthCheck))
@given(
    route=st.sampled_from(ROUTES),
    name=names,
    encoded=st.booleans(),
    body=bodies | json_bodies,
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "stage", "dataset", "attention", "x"]),
        st.text(string.printable, max_size=20),
        max_size=3,
    ),
)
def test_nothing_that_is_sent_is_a_server_error(
    api: httpx.Client,
    stack: Stack,
    route: tuple[str, str],
    name: str,
    encoded: bool,
    body: bytes,
    query: dict[str, str],
) -> None:
    """Names that climb, names without end, bodies of any kind: 2xx to 4xx, and nothing becomes of them."""
    method, template = route
    part = quote(name.encode("utf-8", "replace"), safe="" if encoded else "/.%?$")
    target = template.format(part)
    answer = api.request(method, target, params=query or None, content=body if method == "POST" else None)
    assert answer.status_code < 500, f"{method} {target[:200]}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code != 202, "nothing that was made up exists"
    if answer.status_code >= 400 and answer.headers.get("Content-Type", "").startswith("application/problem"):
        assert answer.json()["status"] == answer.status_code
