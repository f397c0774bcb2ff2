"""Who is let in, how calls must be spelled, and what an unknown one gets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from azureml_emulator import Emulator, ManualClock
from azureml_emulator.core.tokens import Issuer
from emulator_rest import GPU_SIZE, Rest, chat


def test_a_call_without_a_token_is_refused(rest: Rest) -> None:
    """401 with a challenge."""
    answer = rest.http.get(f"{rest.settings.workspace_arm_id}/computes?api-version=2023-08-01-preview")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.json()["error"]["code"] == "AuthenticationFailed"


FORGED = Issuer(b"a secret of thirty-two bytes or more").issue(
    {"aud": "https://management.azure.com", "exp": 9_999_999_999}
)


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", FORGED])
def test_a_token_of_anothers_making_is_refused(rest: Rest, token: str) -> None:
    """Only what the emulator's own identity signed is taken, however well another is made."""
    answer = rest("GET", "/computes", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_token_for_someone_else_is_refused(rest: Rest) -> None:
    """A storage token opens no workspace."""
    token = rest.fetch_token("https://storage.azure.com")
    answer = rest("GET", "/computes", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["error"]["code"] == "InvalidAuthenticationTokenAudience"


def test_tokens_expire(rest_of: Callable[[Emulator], Rest]) -> None:
    """A day after they were given out."""
    clock = ManualClock()
    with Emulator(pace="instant", clock=clock) as emulator:
        rest = rest_of(emulator)
        clock.advance(24 * 3600 - 1)
        assert rest("GET", "/computes").status_code == 200
        clock.advance(1)
        assert rest("GET", "/computes").json()["error"]["code"] == "ExpiredAuthenticationToken"


def test_the_identity_wants_its_header(rest: Rest) -> None:
    """As App Service's managed identity endpoint does."""
    assert rest.http.get("/msi/token?resource=x").status_code == 401


@pytest.mark.parametrize(
    ("version", "code"),
    [(None, "MissingApiVersionParameter"), ("latest", "InvalidApiVersionParameter")],
)
def test_versions_are_asked_for(rest: Rest, version: str | None, code: str) -> None:
    """Any well-formed one will do."""
    answer = rest("GET", "/computes", version=version)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert rest("GET", "/computes", version="2030-01-01").status_code == 200


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("00000000-0000-0000-0000-000000000001", "SubscriptionNotFound"),
        ("resourceGroups/local", "ResourceGroupNotFound"),
        ("workspaces/local", "ResourceNotFound"),
    ],
)
def test_other_names_are_not_found(rest: Rest, part: str, code: str) -> None:
    """Each level answers as Azure Resource Manager does."""
    path = rest.settings.workspace_arm_id.replace(part, f"{part}x")
    answer = rest("GET", f"/{path}/computes")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_case_does_not_matter_in_paths(rest: Rest) -> None:
    """As in Azure Resource Manager."""
    rest.compute("Mixed")
    path = rest.settings.workspace_arm_id.replace("resourceGroups", "RESOURCEGROUPS")
    assert rest("GET", f"/{path}/computes/mIXED").json()["name"] == "Mixed"


@pytest.mark.parametrize(("method", "path"), [("GET", "/schedules"), ("PATCH", "/computes/gpu")])
def test_what_is_not_served_names_itself(rest: Rest, method: str, path: str) -> None:
    """501, the method and the path, and an entry in the log of calls."""
    answer = rest(method, path)
    assert answer.status_code == 501
    assert f"{method} {rest.settings.workspace_arm_id}{path}" in answer.json()["error"]["message"]
    assert rest.emulator.calls()[-1]["operation"] is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"'])
def test_bodies_must_be_json_objects(rest: Rest, body: bytes) -> None:
    """400, not 500."""
    answer = rest.http.put(
        f"{rest.settings.workspace_arm_id}/onlineEndpoints/chat?api-version=2024-01-01",
        content=body,
        headers={"Authorization": f"Bearer {rest.token}"},
    )
    assert answer.status_code == 400


MISFITS = (None, 1, -1, "x", [], {}, True, [1], {"a": 1}, 1.5)


def misfitted(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with each of its values, however deep, replaced by each misfit in turn."""

    def places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield (*path, key)
            yield from places(value[key], (*path, key))

    for path in places(body, ()):
        for misfit in MISFITS:
            spoilt = copy.deepcopy(body)
            inner = spoilt
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = misfit
            yield spoilt


BODIES: dict[str, dict[str, Any]] = {
    "computes/gpu": {
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": GPU_SIZE, "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}},
        }
    },
    "datastores/own": {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "a",
            "containerName": "c",
            "credentials": {"credentialsType": "None"},
        }
    },
    "data/d/versions/1": {"properties": {"dataUri": "azureml://datastores/own/paths/x", "tags": {"a": "b"}}},
    "jobs/command": {"properties": {"jobType": "Command", "command": "ls", "inputs": {"a": {"uri": "x"}}}},
    "onlineEndpoints/chat": {
        "tags": {"a": "b"},
        "identity": {"type": "SystemAssigned"},
        "properties": {"authMode": "Key", "traffic": {"main": 100}},
    },
    "onlineEndpoints/chat/deployments/main": {
        "sku": {"capacity": 1},
        "properties": {
            "instanceType": GPU_SIZE,
            "requestSettings": {"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 1},
            "livenessProbe": {"initialDelay": "PT1S"},
        },
    },
}


@pytest.mark.parametrize("path", BODIES)
def test_a_misfit_anywhere_in_a_body_is_no_crash(rest: Rest, path: str) -> None:
    """Whatever is put wherever: it is taken or refused, and what was kept can be shown."""
    rest.endpoint()
    for body in misfitted(BODIES[path]):
        answer = rest("PUT", f"/{path}", body)
        assert answer.status_code in {*range(200, 500), 501}, (body, answer.text)
        assert rest("GET", f"/{path}").status_code < 500, body


def test_a_misfit_in_a_chat_request_is_the_models_error(rest: Rest) -> None:
    """An answer or 424, never a crash of the emulator."""
    key = rest.serve()
    for body in misfitted(chat("hi", "a", "b", temperature=0.5, top_p=0.9, max_new_tokens=3)):
        assert rest.score(key, body).status_code in (200, 424), body


def test_blobs_want_a_signature(rest: Rest) -> None:
    """403 without one, or with one that was made up."""
    version = {"x-ms-version": "2025-01-05"}
    for query in ("", "?sig=nonsense"):
        answer = rest.http.put(f"/container/name{query}", content=b"x", headers=version)
        assert answer.status_code == 403
        assert answer.headers["x-ms-error-code"] == "AuthenticationFailed"


def test_blobs_keep_what_they_are_given(rest: Rest) -> None:
    """Blocks, ranges, listings, conditions and deletes."""
    secret = rest("POST", "/datastores/workspaceblobstore/listSecrets").json()["sasToken"]

    def call(method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        sign = "&" if "?" in path else "?"
        url = f"{path}{sign}{secret.removeprefix('?')}"
        return rest.http.request(
            method, url, content=content, headers={"x-ms-version": "2025-01-05", **headers}
        )

    assert call("PUT", "/c/a/b.txt?comp=block&blockid=MQ==", b"hello ").status_code == 201
    assert call("PUT", "/c/a/b.txt?comp=block&blockid=Mg==", b"world").status_code == 201
    wrong = b"<BlockList><Latest>OTk=</Latest></BlockList>"
    blocks = b"<BlockList><Latest>MQ==</Latest><Latest>Mg==</Latest></BlockList>"
    assert call("PUT", "/c/a/b.txt?comp=blocklist", blocks).status_code == 201
    assert call("PUT", "/c/a/c.txt?comp=blocklist", wrong).status_code == 400
    assert call("GET", "/c/a/b.txt").content == b"hello world"
    part = call("GET", "/c/a/b.txt", **{"x-ms-range": "bytes=6-8"})
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"wor", "bytes 6-8/11")
    assert call("GET", "/c/a/b.txt", **{"x-ms-range": "bytes=99-"}).status_code == 416
    assert call("PUT", "/c/a/b.txt", b"x", **{"If-None-Match": "*"}).status_code == 409
    assert call("PUT", "/c/a/b.txt", b"x", **{"Content-MD5": "AAAA"}).status_code == 400
    listing = call("GET", "/c?restype=container&comp=list&prefix=a/").text
    assert "<Name>a/b.txt</Name>" in listing
    assert call("DELETE", "/c/a/b.txt").status_code == 202
    assert call("GET", "/c/a/b.txt").status_code == 404


def test_an_asset_version_keeps_its_address(rest: Rest) -> None:
    """Tags may change; where it lies may not."""
    first = {"properties": {"dataType": "uri_file", "dataUri": rest.upload("a.jsonl", b"")}}
    other = {"properties": {"dataType": "uri_file", "dataUri": rest.upload("b.jsonl", b"")}}
    assert rest("PUT", "/data/d/versions/1", first).status_code == 201
    assert rest("PUT", "/data/d/versions/1", first).status_code == 200
    assert rest("PUT", "/data/d/versions/1", other).status_code == 400


def test_a_registry_of_ones_own_takes_assets(rest: Rest) -> None:
    """202, an address that ends with the asset's id, and the version is there; the public one refuses."""
    api = "2021-10-01-dataplanepreview"
    found = rest.http.get("/registrymanagement/v1.0/registries/local/discovery").json()
    root = (
        f"//mferp/managementfrontend/subscriptions/{found['subscriptionId']}/resourceGroups/"
        f"{found['resourceGroup']}/providers/Microsoft.MachineLearningServices/registries"
    )
    body = {"properties": {"dataType": "uri_file", "dataUri": "https://account.blob.core.windows.net/c/x"}}
    answer = rest("PUT", f"{root}/local/data/d/versions/1", body, version=api)
    assert (answer.status_code, answer.content) == (202, b"null")
    identifier = "azureml://registries/local/data/d/versions/1"
    assert rest("GET", answer.headers["Location"]).json() == {"assetId": identifier}
    assert rest("GET", f"{root}/local/data/d/versions/1", version=api).json()["id"] == identifier
    assert len(rest("GET", f"{root}/local/data/d/versions", version=api).json()["value"]) == 1
    assert rest("PUT", f"{root}/azureml/data/d/versions/1", body, version=api).status_code == 403


def test_only_a_finished_jobs_outputs_can_be_registered(rest: Rest) -> None:
    """Unknown jobs, unknown outputs and failed jobs are refused."""
    rest.train()
    rest.submit("failed", {"train_file_path": "azureml://datastores/workspaceblobstore/paths/none"})
    for job, output, status in (
        ("none", "trained_model", 404),
        ("job", "other", 400),
        ("failed", "trained_model", 400),
    ):
        body = {"properties": {"modelUri": f"azureml://jobs/{job}/outputs/{output}"}}
        assert rest("PUT", "/models/m/versions/1", body).status_code == status


def test_the_controls_change_pace_and_quota(rest: Rest) -> None:
    """And refuse what they do not know."""
    change = rest.http.patch("/_emulator/state", json={"pace": "timed", "quota": {"standardDSv2Family": 1}})
    assert change.status_code == 204
    state = rest.http.get("/_emulator/state").json()
    assert (state["pace"], state["quota"]) == ("timed", {"standardDSv2Family": 1})
    for wrong in ({"pace": "warp"}, {"advance": 1}, {"speed": 1}):
        assert rest.http.patch("/_emulator/state", json=wrong).status_code == 400


def test_the_state_shows_no_secrets(rest: Rest) -> None:
    """Neither keys nor account secrets."""
    key = rest.serve()
    state = rest.http.get("/_emulator/resources").text
    assert '"chat"' in state
    assert key not in state


def test_reset_gives_a_new_subscription(rest: Rest) -> None:
    """Nothing is left but what every workspace is born with."""
    rest.serve()
    rest.emulator.add_fault(status=500, nth=99)
    assert rest.http.post("/_emulator/reset").status_code == 204
    assert rest("GET", "/onlineEndpoints").json()["value"] == []
    assert rest("GET", "/datastores/workspaceblobstore").status_code == 200
    assert rest.http.get("/_emulator/faults").json()["value"] == []
    rest.serve()
