"""An emulator of Azure Machine Learning for unmodified clients: azure-ai-ml, azure-identity, MLflow, REST.

What is exported here is the public interface, with ``/_emulator/*`` over HTTP; the rest is internal.
"""

from azureml_emulator.client import ControlClient, ControlError, FaultHandle
from azureml_emulator.core.catalogue import base_models, pipeline_component
from azureml_emulator.core.clock import FAST, INSTANT, TIMED, Clock, ManualClock, Pace
from azureml_emulator.core.settings import Catalogue, Settings
from azureml_emulator.core.switches import Switches
from azureml_emulator.emulator import Emulator
from azureml_emulator.training.preprocess import PreprocessError, preprocess_files

__all__ = [
    "FAST",
    "INSTANT",
    "TIMED",
    "Catalogue",
    "Clock",
    "ControlClient",
    "ControlError",
    "Emulator",
    "FaultHandle",
    "ManualClock",
    "Pace",
    "PreprocessError",
    "Settings",
    "Switches",
    "base_models",
    "pipeline_component",
    "preprocess_files",
]
