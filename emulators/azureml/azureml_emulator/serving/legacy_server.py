"""An MLflow model as the emulator served it first: any number of conversations, ``[{"output": text}]``.

The service has never answered so; the switch ``score_script`` chooses between this and ``mlflow_server``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from azureml_emulator.serving.container import Container, ContainerRequest, ContainerStatusError
from azureml_emulator.serving.generation import Generation, Messages, Served
from azureml_emulator.training.chat_model import Sampling


class Parameters(msgspec.Struct):
    """The parameters that are read; others are ignored."""

    temperature: float = 1.0
    top_p: float = 1.0
    do_sample: bool = False
    max_new_tokens: int = 256


class LegacyServer(Container):
    """Answers ``POST /score``."""

    workers = None

    def __init__(self, served: Served) -> None:
        self._served = served

    def respond(self, request: ContainerRequest) -> Any:
        """One answer for each conversation."""
        if (request.method, request.path) != ("POST", "/score"):
            raise ContainerStatusError(404, "Not Found")
        document = request.document()
        try:
            data = document["input_data"]
            parameters = msgspec.convert(data.get("parameters") or {}, Parameters)
            conversations = _conversations(data["input_string"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ContainerStatusError(400, f"Could not read the request: {error!r}") from None
        temperature = parameters.temperature if parameters.do_sample else 0.0
        sampling = Sampling(temperature, parameters.top_p, parameters.max_new_tokens)
        return [
            {"output": Generation(self._served, one, sampling, request.deadline).text()}
            for one in conversations
        ]


def _conversations(given: Any) -> list[Messages]:
    if not isinstance(given, list) or not given:
        raise ValueError("input_string must be a list of messages or of conversations")
    conversations = [given] if isinstance(given[0], dict) else given
    for conversation in conversations:
        for message in conversation:
            if not isinstance(message, dict) or not isinstance(message.get("content"), str):
                raise TypeError("a message needs a role and a text as content")
    # A dataset row ends with the assistant's turn, which is the one to predict.
    return [one[:-1] if len(one) > 1 and one[-1].get("role") == "assistant" else one for one in conversations]
