"""A local Azure Machine Learning, as strict as the real one, for unmodified clients.

``docs/emulator.md`` lists every operation, where its behaviour comes from, and what may be set.
"""

from local.azureml.clock import ManualClock, Pace
from local.azureml.emulator import Emulator
from local.azureml.settings import Catalogue, Settings

__all__ = ["Catalogue", "Emulator", "ManualClock", "Pace", "Settings"]
