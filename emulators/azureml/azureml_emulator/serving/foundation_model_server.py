"""The image ``foundation-model-inference``: its own server on port 5001, vLLM's OpenAI server on port 8000.

After llm-optimized-inference 0.2.58. The server is up and well even if the model's engine failed to start.
"""

from __future__ import annotations

import json
from typing import Any

from azureml_emulator.core.vm_sizes import SIZES
from azureml_emulator.serving.container import (
    HTTP_PROBE,
    Container,
    ContainerCrashedError,
    ContainerRequest,
    ContainerStatusError,
    whole_number,
)
from azureml_emulator.serving.generation import Generation, Messages, Served
from azureml_emulator.serving.images import Image
from azureml_emulator.serving.model_folder import COMPONENT_FOLDER, ModelFolder
from azureml_emulator.serving.openai_chat import ChatRules, answer_chat
from azureml_emulator.training.chat_model import CONFIG, MOST_NEW_TOKENS, Sampling

SERVER_PORT, ENGINE_PORT = 5001, 8000
HEALTH = {SERVER_PORT: "/", ENGINE_PORT: "/health"}
FIRST_WITH_V1 = 81
"""The first tag whose server has ``/v1/…``."""

_KNOWN_ARCHITECTURES = frozenset(
    f"{name}ForCausalLM" for name in ("Phi3", "Mistral", "Mixtral", "Llama", "Qwen2", "Gemma", "Gemma2")
)
"""Those for which the server chooses vLLM by itself; others need ``ENGINE_NAME=vllm``."""


class FoundationModelServer(Container):
    """A started container.

    Attributes:
        engine_error: Why the model's engine did not start; None if it did.
    """

    def __init__(
        self, served: Served, folder: ModelFolder, image: Image, environment: dict[str, str], instance: str
    ) -> None:
        """Starts it.

        Raises:
            ContainerCrashedError: The server finds no model, or a probe asks where it does not answer.
        """
        _check_routes(image)
        if folder.name != COMPONENT_FOLDER:
            raise ContainerCrashedError(
                f"FileNotFoundError: [Errno 2] No such file or directory: "
                f"'{environment['AZUREML_MODEL_DIR']}/{COMPONENT_FOLDER}' (the folder there is {folder.name})"
            )
        self.workers = whole_number(environment, "WORKER_COUNT", 1)
        config = json.loads(folder.files[CONFIG])
        self._served, self._tag = served, image.tag
        self._context = whole_number(environment, "MAX_MODEL_LEN", served.context)
        self._name = environment.get("SERVED_MODEL_NAME", served.name)
        self.engine_error = _engine_error(config, environment, served.context, self._context, instance)

    def respond(self, request: ContainerRequest) -> Any:
        """The server on port 5001 filters what it passes on; the engine's own on port 8000 does not."""
        if request.method == "GET" and request.path == HEALTH[request.port]:
            return {"status": "ok"}
        if request.port == ENGINE_PORT:
            return self._engine(request)
        if request.path == "/score":
            return self._score(request)
        paths = {"/chat/completions": ChatRules(refuses_extras=True)}
        if self._tag >= FIRST_WITH_V1:
            extras = request.headers.get("extra-parameters") == "pass-through"
            paths["/v1/chat/completions"] = ChatRules(passes_extras=extras)
        rules = paths.get(request.path)
        if rules is None or request.method != "POST":
            raise ContainerStatusError(404, "Not Found", {"detail": "Not Found"})
        self._need_engine()
        return answer_chat(self._served, request, rules, self._context)

    def _engine(self, request: ContainerRequest) -> Any:
        if self.engine_error is not None:
            raise ContainerStatusError(502, "upstream connect error: connection refused")
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            raise ContainerStatusError(404, "Not Found", {"detail": "Not Found"})
        rules = ChatRules(passes_extras=True, model=self._name, hottest=2.0, tools=True)
        return answer_chat(self._served, request, rules, self._context)

    def _need_engine(self) -> None:
        if self.engine_error is not None:
            raise ContainerStatusError(500, "Internal Server Error", {"detail": "Internal Server Error"})

    def _score(self, request: ContainerRequest) -> Any:
        """One conversation in, ``{"output": text}`` out; any fault is ``{}`` with status 200."""
        try:
            if self.engine_error is not None:
                return {}
            data = request.document()["input_data"]
            messages, parameters = _first_dialog(data["input_string"]), data.get("parameters") or {}
            generation = Generation(
                self._served, messages, _sampling(parameters), request.deadline, _stops(parameters)
            )
            if generation.prompt_tokens >= self._context:
                return {}
            return {"output": generation.text()}
        except (ContainerStatusError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            return {}


def _check_routes(image: Image) -> None:
    """The routes of the environment against what the image answers."""
    given = image.inference
    for kind, route in (("Liveness", given.livenessRoute), ("Readiness", given.readinessRoute)):
        if route is None:
            continue
        if route.port not in HEALTH:
            probe = f'{kind} probe failed: Get "http://:{route.port}{route.path}": connection refused'
            raise ContainerCrashedError("Uvicorn running on http://0.0.0.0:5001", probe)
        if route.path != HEALTH[route.port]:
            probe = f"{kind} probe failed: {HTTP_PROBE.format(status=404)}"
            raise ContainerCrashedError(f"GET {route.path} 404 Not Found", probe)
    if given.scoringRoute is not None and given.scoringRoute.port not in HEALTH:
        raise ContainerCrashedError(
            "Uvicorn running on http://0.0.0.0:5001",
            f"Readiness probe failed: nothing listens on port {given.scoringRoute.port}",
        )


def _engine_error(
    config: dict[str, Any], environment: dict[str, str], context: int, longest: int, instance: str
) -> str | None:
    architecture = config["architectures"][0]
    if environment.get("ENGINE_NAME") != "vllm" and architecture not in _KNOWN_ARCHITECTURES:
        return f"ValueError: no engine is known for architecture {architecture}; set ENGINE_NAME"
    if longest > context:
        return f"ValueError: User-specified max_model_len ({longest}) is greater than the model's {context}"
    size, parallel = SIZES.get(instance.lower()), whole_number(environment, "TENSOR_PARALLEL", 1)
    if size is not None and parallel > size.gpus:
        return (
            f"ValueError: tensor parallel size ({parallel}) is larger than the {size.gpus} GPUs of the node"
        )
    return None


def _first_dialog(given: Any) -> Messages:
    """The conversation; of several, the first alone is answered."""
    dialog = given[0] if isinstance(given[0], list) else given
    return [{"role": str(one["role"]), "content": str(one["content"])} for one in dialog]


def _sampling(parameters: dict[str, Any]) -> Sampling:
    """Names of other servers are translated; what vLLM does not know is dropped."""
    temperature = float(parameters.get("temperature", 0.0))
    if parameters.get("do_sample") is False:
        temperature = 0.0
    most = parameters.get("max_new_tokens", parameters.get("max_gen_len", parameters.get("max_tokens")))
    seed = parameters.get("seed")
    sampling = Sampling(
        temperature, float(parameters.get("top_p", 1.0)), int(most or MOST_NEW_TOKENS), seed and int(seed)
    )
    if temperature < 0 or not 0 < sampling.top_p <= 1 or sampling.most_tokens < 1:
        raise ValueError("vLLM refuses the sampling parameters")
    return sampling


def _stops(parameters: dict[str, Any]) -> list[str]:
    given = parameters.get("stop") or []
    return [given] if isinstance(given, str) else [str(one) for one in given]
