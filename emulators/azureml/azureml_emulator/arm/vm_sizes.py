"""VM sizes of the region, and how much of each family's quota is used."""

from __future__ import annotations

from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.routing import LOCATION, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES, limit, usage


def _sizes(state: EmulatorState, request: Request) -> Response:
    del state, request
    return json_response(
        {
            "value": [
                {
                    "name": size.name,
                    "family": size.family,
                    "vCPUs": size.cores,
                    "gpus": size.gpus,
                    "osVhdSizeMB": 1_047_552,
                    "maxResourceVolumeMB": 65_536,
                    "memoryGB": float(size.memory),
                    "lowPriorityCapable": True,
                    "premiumIO": True,
                    "estimatedVMPrices": None,
                    "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
                }
                for size in SIZES.values()
            ]
        }
    )


def _usages(state: EmulatorState, request: Request) -> Response:
    del request
    families = sorted({size.family for size in SIZES.values()})
    return json_response(
        {
            "value": [
                {
                    "id": f"{state.settings.location_path}/usages/{family}",
                    "type": "Microsoft.MachineLearningServices/Usages",
                    "unit": "Count",
                    "currentValue": usage(state, family),
                    "limit": limit(state, family),
                    "name": {"value": family, "localizedValue": f"{family} Cluster Dedicated vCPUs"},
                }
                for family in families
            ]
        }
    )


ROUTES = (
    Route("vm_sizes.list", "GET", f"{LOCATION}/vmSizes", _sizes),
    Route("usages.list", "GET", f"{LOCATION}/usages", _usages),
)
