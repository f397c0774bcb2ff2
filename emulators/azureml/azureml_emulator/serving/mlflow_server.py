"""The inference server of MLflow models without an environment: Azure's score script and its limits.

After ``mlflow_score_script.py`` of Azure/azureml-assets 4b41f8c and azureml-evaluate-mlflow 0.0.91
(``ChatCompletionPredictor``). Since image 26 (2025-12-03) the script imports a package that the model's own
environment must bring along.
"""

from __future__ import annotations

from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from azureml_emulator.serving.container import (
    Container,
    ContainerCrashedError,
    ContainerRequest,
    ContainerStatusError,
    whole_number,
)
from azureml_emulator.serving.generation import Generation, Messages, Served
from azureml_emulator.training.chat_model import MOST_NEW_TOKENS, Sampling

MONITORING, CONTRIB = "azureml-ai-monitoring", "azureml-contrib-services"
SERVER = "azureml-inference-server-http"
_SERVER_VERSIONS = ("1.3.0", "1.3.4", "1.4.1", "1.5.1")
"""Of these, 1.3 imports ``azureml.contrib.services``."""

_PARAMETERS = frozenset({"temperature", "top_p", "do_sample", "max_new_tokens", "max_gen_len", "dev_args"})
_SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


def check_requirements(requirements: list[str], *, vendored_collector: bool) -> None:
    """Fails as the score script's imports do.

    Args:
        requirements: Of the model's ``conda.yaml``.
        vendored_collector: Whether the image has the data collector's code in itself.

    Raises:
        ContainerCrashedError: A package is missing.
    """
    named: dict[str, Requirement] = {}
    for line in requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # an option or a path
        named[canonicalize_name(requirement.name)] = requirement
    if not vendored_collector and MONITORING not in named:
        raise ContainerCrashedError("ModuleNotFoundError: No module named 'azureml.ai'")
    server = named.get(SERVER)
    installed = [one for one in _SERVER_VERSIONS if server is None or server.specifier.contains(one)]
    if installed and installed[-1].startswith("1.3.") and CONTRIB not in named:
        raise ContainerCrashedError("ModuleNotFoundError: No module named 'azureml.contrib'")


class MlflowServer(Container):
    """Answers ``POST /score``, one conversation after the other."""

    def __init__(self, served: Served, environment: dict[str, str]) -> None:
        self._served = served
        self.workers = whole_number(environment, "WORKER_COUNT", 1)

    def respond(self, request: ContainerRequest) -> Any:
        """``[{"0": text}, …]`` for a list of conversations, ``[text]`` for one of several messages."""
        if (request.method, request.path) != ("POST", "/score"):
            raise ContainerStatusError(404, "Not Found")
        if "json" not in request.headers.get("content-type", ""):
            raise ContainerStatusError(415, "Unsupported Media Type")
        document = request.document()
        data = document.get("input_data") if isinstance(document, dict) else None
        if not isinstance(data, dict) or "input_string" not in data:
            raise ContainerStatusError(400, "input_data with input_string is missing")
        given, parameters = data["input_string"], data.get("parameters") or {}
        try:
            sampling = _sampling(parameters)
            single = isinstance(given, list) and bool(given) and isinstance(given[0], dict)
            marks = system_marks(parameters)
            answers = [
                Generation(self._served, dialog(one, marks), sampling, request.deadline).text()
                for one in ([given] if single else given)
            ]
        except (AssertionError, ValueError, TypeError, KeyError):
            raise ContainerStatusError(500, _SCRIPT_FAILED) from None
        return answers if single and len(given) > 1 else [{"0": text} for text in answers]


def _sampling(parameters: dict[str, Any]) -> Sampling:
    unknown = set(parameters) - _PARAMETERS
    if unknown:
        raise ValueError(f"The following model_kwargs are not used by the model: {sorted(unknown)}")
    samples = bool(parameters.get("do_sample", False))
    temperature = float(parameters.get("temperature", 1.0))
    if samples and temperature <= 0:
        raise ValueError("temperature has to be a strictly positive float")
    most = int(parameters.get("max_new_tokens", parameters.get("max_gen_len", MOST_NEW_TOKENS)))
    if most < 1:
        raise ValueError("max_new_tokens must be greater than 0")
    return Sampling(temperature if samples else 0.0, float(parameters.get("top_p", 1.0)), most)


def system_marks(parameters: dict[str, Any]) -> tuple[str, str]:
    """What is put around a system message: Llama 2's marks, whatever the model, unless the caller says."""
    config = (parameters.get("dev_args") or {}).get("preprocessing_config") or {}
    return str(config.get("B_SYS", "<<SYS>>\n")), str(config.get("E_SYS", "\n<</SYS>>\n\n"))


def dialog(messages: Any, marks: tuple[str, str]) -> Messages:
    """A system message only at the start, then user and assistant by turns, the user last."""
    known = [one for one in messages if one["role"] in ("system", "user", "assistant")]
    first = [one for one in known[:1] if one["role"] == "system"]
    turns = [one["role"] for one in known[len(first) :]]
    if not turns or turns != (["user", "assistant"] * len(turns))[: len(turns)] or turns[-1] != "user":
        raise AssertionError("model only supports 'system', 'user' and 'assistant' roles")
    begin, end = marks
    wrapped = [{**one, "content": f"{begin}{str(one['content']).strip()}{end}"} for one in first]
    return [{"role": one["role"], "content": str(one["content"])} for one in (*wrapped, *known[len(first) :])]
