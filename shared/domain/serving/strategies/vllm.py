"""What both vLLM strategies have in common: the image's environment variables and the folder that it needs.

Source: llm-optimized-inference 0.2.58, the server of the image `foundation-model-inference`.
"""

from __future__ import annotations

from shared.domain.serving.strategies.strategy import MODEL_FOLDER, ServedModel, ServingOptions


def vllm_variables(options: ServingOptions) -> dict[str, str]:
    """The container's variables: `WORKER_COUNT` requests are worked on at once, streams included."""
    variables = {
        **options.variables,
        # The image knows the engine of some architectures only.
        "ENGINE_NAME": "vllm",
        "WORKER_COUNT": str(options.concurrency),
    }
    if options.max_model_len is not None:
        variables["MAX_MODEL_LEN"] = str(options.max_model_len)
    if options.tensor_parallel is not None:
        variables["TENSOR_PARALLEL"] = str(options.tensor_parallel)
    return variables


def folder_obstacle(model: ServedModel) -> str | None:
    """The image crashes if the model is in a folder of another name."""
    if model.folder == MODEL_FOLDER:
        return None
    return (
        f"the registered model is in folder {model.folder!r}, and the vLLM image looks for {MODEL_FOLDER!r}"
    )
