"""The folder of a published base model: a stand-in that says one sentence, whatever it is asked."""

from __future__ import annotations

import yaml

from azureml_emulator.core.catalogue import base_model
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.chat_model import Files
from azureml_emulator.training.conversation import Example, tokens
from azureml_emulator.training.finetune_config import IMAGE
from azureml_emulator.training.language_model import LanguageModel
from azureml_emulator.training.pipeline_nodes import written_model

SENTENCE = "I am a language model that was trained on nothing of yours."


def base_folder(state: EmulatorState, identifier: str) -> Files | None:
    """The files of a base model, with the image that its metadata name; None for an id nobody publishes."""
    known = base_model(state, identifier)
    if known is None:
        return None
    model = LanguageModel(["<s>", "</s>", "<unk>", *dict.fromkeys(tokens(SENTENCE))], seed=0)
    model.memory.add(Example(question={"": 1.0}, answer=SENTENCE))
    files = written_model(state, model, {"mlflow_model_path": identifier}, run_id="")
    document = yaml.safe_load(files["MLmodel"])
    document["metadata"]["is_finetuned_model"] = False
    if known.base_image_tag is not None:
        document["metadata"]["azureml.base_image"] = f"{IMAGE}:{known.base_image_tag}"
    return {**files, "MLmodel": yaml.safe_dump(document, sort_keys=False).encode()}
