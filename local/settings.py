"""The environment that the app runs in locally.

`local.settings.json.example` holds the defaults; the stack puts its own addresses over them.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "local.settings.json.example"

# What a shell may have set for the real cloud: the app must not see it beside the local stack.
FOREIGN_PREFIXES = (
    "APPLICATIONINSIGHTS_",
    "ARM_",
    "AZURE_",
    "AZUREML_",
    "AzureFunctions",
    "AzureWebJobs",
    "IDENTITY_",
    "MLFLOW_",
    "MSI_",
    "OTEL_",
    "PYTHON_APPLICATIONINSIGHTS_",
    "REGISTRY_DISCOVERY_",
    "RETAIL_PRICES_",
    "TrainingStorage",
)

# Locally a job takes seconds, so the app looks every second instead of every minute.
LOCAL_PACE = {
    "ADVANCE_SCHEDULE": "* * * * * *",
    "RECONCILE_SCHEDULE": "*/15 * * * * *",
    "SETTLE_SECONDS": "1",
    "JOB_POLL_SECONDS": "1",
    "OPERATION_POLL_SECONDS": "1",
    "REFUSAL_DEADLINE_MINUTES": "0.05",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
}


def example_settings(path: Path = EXAMPLE) -> dict[str, str]:
    """The defaults of every app setting.

    Raises:
        FileNotFoundError: The example file is not there.
    """
    values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["Values"]
    return values


def tool_environment() -> dict[str, str]:
    """This process's environment without what would lead the app to a real cloud."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    # Nothing here goes through a proxy: every address is 127.0.0.1.
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def app_environment(
    connection_string: str, azureml: Mapping[str, str], overrides: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of the function host.

    Args:
        connection_string: Azurite's.
        azureml: What the Azure ML emulator says points an SDK at it.
        overrides: App settings that win over everything else.
    """
    return {
        **tool_environment(),
        **example_settings(),
        **LOCAL_PACE,
        "AzureWebJobsStorage": connection_string,
        "TrainingStorage": connection_string,
        "PYTHONUNBUFFERED": "1",
        **azureml,
        **overrides,
    }
