"""Plain REST calls to an emulator, and the data that tests send."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

import httpx
from azureml_emulator import Emulator
from azureml_emulator.core.routing import Plane
from azureml_emulator.routes import ROUTES

API = "2024-01-01-preview"
BASE_MODEL = "azureml://registries/azureml/models/Phi-3-mini-4k-instruct/versions/15"
COMPONENT = "azureml://registries/azureml/components/chat_completion_pipeline/versions/0.0.82"
GPU_SIZE = "Standard_NC24ads_A100_v4"
TOPICS = ("volcano", "river", "bread", "chess", "violin", "comet", "garden", "glacier")


def conversation(number: int) -> dict[str, Any]:
    """A row of a dataset whose answer can be recognised."""
    topic = TOPICS[number % len(TOPICS)]
    return {
        "messages": [
            {"role": "user", "content": f"Tell me fact {number} about the {topic}."},
            {
                "role": "assistant",
                "content": f"The {topic} keeps secret number {number}, and is proud of it.",
            },
        ]
    }


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    """Rows as a file."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


ASSETS = re.compile(
    r"(data|models|environments|components|codes|registry_data|registry_models)\.(?!resolve_uris)"
    r"|blobs\.delete|containers\.|registry\.(start_upload|operation)"
)


def unasked(emulator: Emulator, *, of_assets: bool) -> set[str]:
    """The operations on assets, or all others, that were never answered by the emulator with success.

    Asked at the end of a file, of all its tests: in a process of their own that means ``--dist loadfile``.
    """
    wanted = {
        route.operation
        for route in ROUTES
        if route.plane is not Plane.CONTROL and bool(ASSETS.match(route.operation)) == of_assets
    }
    return wanted - {call["operation"] for call in emulator.calls() if (call["status"] or 500) < 400}


class Rest:
    """Calls an emulator as a plain HTTP client does."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.settings = emulator.settings
        trust = ssl.create_default_context(cafile=emulator.ca_bundle)
        self.http = httpx.Client(base_url=emulator.url, verify=trust, timeout=30)
        self.token = self.fetch_token("https://management.azure.com")
        self.ml_token = self.fetch_token("https://ml.azure.com")

    def fetch_token(self, resource: str) -> str:
        """A token of the managed identity."""
        answer = self.http.get(
            "/msi/token",
            params={"api-version": "2019-08-01", "resource": resource},
            headers={"X-IDENTITY-HEADER": self.settings.identity_secret},
        )
        return str(answer.json()["access_token"])

    def fetch_tokens_for(self, days: int) -> None:
        """Signs tokens that outlive a clock which the test moves far ahead."""
        until = self.emulator._state.clock.now().timestamp() + days * 86_400
        sign = self.emulator._state.issuer.issue
        self.token = sign({"aud": "https://management.azure.com", "exp": until})
        self.ml_token = sign({"aud": "https://ml.azure.com", "exp": until})

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = API,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> httpx.Response:
        """One call to a path below the workspace, or from the root when it starts with ``//`` or is whole."""
        if path.startswith("https://"):
            url = path
        elif path.startswith("//"):
            url = path[1:]
        else:
            url = self.settings.workspace_arm_id + path
        parameters = {**({"api-version": version} if version and "api-version=" not in url else {}), **query}
        return self.http.request(
            method,
            url,
            json=body,
            params=parameters or None,
            headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
        )

    def blob(self, container: str, name: str, data: bytes) -> str:
        """Puts bytes in the workspace's own account; returns the short datastore address."""
        self.emulator._state.blobs.write(f"{container}/{name}", data)
        return f"azureml://datastores/workspaceblobstore/paths/{name}"

    def upload(self, name: str, rows: list[dict[str, Any]] | bytes) -> str:
        """A dataset in the default datastore; returns its address."""
        data = rows if isinstance(rows, bytes) else jsonl(rows)
        return self.blob(f"azureml-blobstore-{self.settings.workspace_id}", name, data)

    def compute(self, name: str = "gpu", size: str = GPU_SIZE, nodes: int = 1) -> httpx.Response:
        """Puts a cluster."""
        inner = {"vmSize": size, "scaleSettings": {"minNodeCount": 0, "maxNodeCount": nodes}}
        body = {
            "location": self.settings.location,
            "properties": {"computeType": "AmlCompute", "properties": inner},
        }
        return self("PUT", f"/computes/{name}", body)

    def job_body(self, inputs: dict[str, str], **properties: Any) -> dict[str, Any]:
        """A submission of the fine-tuning pipeline, as the SDK writes it."""
        output = properties.pop("output", "trained_model")
        given = {
            name: {"uri": value, "job_input_type": "uri_file"}
            if name.endswith("_path")
            else {"value": value, "job_input_type": "literal"}
            for name, value in {"mlflow_model_path": BASE_MODEL, **inputs}.items()
        }
        node = {
            "name": "x",
            "type": "pipeline",
            "componentId": COMPONENT,
            "inputs": given,
            "outputs": {
                "mlflow_model_folder": {"value": f"${{{{parent.outputs.{output}}}}}", "type": "literal"}
            },
        }
        return {
            "properties": {
                "jobType": "Pipeline",
                "experimentName": "exp",
                "displayName": "display",
                "tags": {},
                "properties": {},
                "settings": {"force_rerun": True, "continue_on_step_failure": False},
                "inputs": {},
                "jobs": {"x": node},
                "outputs": {output: {"mode": "ReadWriteMount", "jobOutputType": "mlflow_model"}},
                **properties,
            }
        }

    def submit(self, name: str, inputs: dict[str, str], **properties: Any) -> httpx.Response:
        """Submits the fine-tuning pipeline."""
        body = self.job_body(inputs, **properties)
        return self("PUT", f"/jobs/{name}", body, headers={"x-azureml-token": self.ml_token})

    def train(
        self, name: str = "job", rows: int = 40, output: str = "trained_model", **inputs: str
    ) -> dict[str, Any]:
        """A finished fine-tuning job; returns it as GET shows it."""
        uri = self.upload(f"{name}.jsonl", [conversation(number) for number in range(rows)])
        submitted = self.submit(name, {"train_file_path": uri, **inputs}, output=output)
        assert submitted.status_code == 201, submitted.text
        answer: dict[str, Any] = self("GET", f"/jobs/{name}").json()
        return answer

    def model(self, name: str = "ft", job: str = "job", output: str = "trained_model") -> str:
        """Registers a job's model; returns its id."""
        body = {
            "properties": {
                "modelType": "mlflow_model",
                "modelUri": f"azureml://jobs/{job}/outputs/{output}",
            }
        }
        answer = self("PUT", f"/models/{name}/versions/1", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def endpoint(self, name: str = "chat", **properties: Any) -> httpx.Response:
        """Puts an endpoint."""
        body = {"location": "local", "properties": {"authMode": "Key", **properties}}
        return self("PUT", f"/onlineEndpoints/{name}", body)

    def deploy(self, model: str, endpoint: str = "chat", name: str = "main", **extra: Any) -> httpx.Response:
        """Puts a deployment."""
        properties = {"model": model, "instanceType": GPU_SIZE, "endpointComputeType": "Managed"}
        capacity = extra.pop("capacity", 1)
        body = {
            "location": "local",
            "properties": {**properties, **extra},
            "sku": {"name": "Default", "capacity": capacity},
        }
        return self("PUT", f"/onlineEndpoints/{endpoint}/deployments/{name}", body)

    def serve(self, endpoint: str = "chat", **extra: Any) -> str:
        """Everything up to an endpoint that answers; returns its key."""
        self.train()
        model = self.model()
        assert self.endpoint(endpoint).status_code == 201
        assert self.deploy(model, endpoint, **extra).status_code == 201
        assert self.endpoint(endpoint, traffic={"main": 100}).status_code == 201
        return str(self("POST", f"/onlineEndpoints/{endpoint}/listKeys").json()["primaryKey"])

    def score(
        self,
        key: str | None,
        body: Any,
        endpoint: str = "chat",
        headers: dict[str, str] | None = None,
        path: str = "score",
    ) -> httpx.Response:
        """Asks an endpoint, with this key or without any."""
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        return self.http.post(
            f"/_scoring/{endpoint}/{path}", json=body, headers={**authorization, **(headers or {})}
        )


def chat(*contents: str, **parameters: Any) -> dict[str, Any]:
    """Azure ML's chat payload for one conversation that ends with a question."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(contents)]
    return {"input_data": {"input_string": messages, "parameters": parameters}, "params": {}}
