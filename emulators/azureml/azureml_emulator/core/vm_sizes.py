"""VM sizes, their quota families, and the quota in use.

vCPU, GPU and memory figures are those of Azure's published size tables. Quota arithmetic for endpoints is
from "Troubleshoot online endpoints deployment": a fifth of the instances is reserved for upgrades.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from azureml_emulator.core.state import EmulatorState


class VmSize(NamedTuple):
    """One size: cores, GPUs and memory in GiB, and its quota family."""

    name: str
    family: str
    cores: int
    gpus: int
    memory: float


_A100 = "standardNCADSA100v4Family"
_V100 = "standardNCSv3Family"
_SIZES = (
    VmSize("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family", 4, 1, 28),
    VmSize("Standard_NC8as_T4_v3", "Standard NCASv3_T4 Family", 8, 1, 56),
    VmSize("Standard_NC16as_T4_v3", "Standard NCASv3_T4 Family", 16, 1, 110),
    VmSize("Standard_NC64as_T4_v3", "Standard NCASv3_T4 Family", 64, 4, 440),
    VmSize("Standard_NC6s_v3", _V100, 6, 1, 112),
    VmSize("Standard_NC12s_v3", _V100, 12, 2, 224),
    VmSize("Standard_NC24s_v3", _V100, 24, 4, 448),
    VmSize("Standard_NC24rs_v3", _V100, 24, 4, 448),
    VmSize("Standard_ND40rs_v2", "standardNDv2Family", 40, 8, 672),
    VmSize("Standard_NC24ads_A100_v4", _A100, 24, 1, 220),
    VmSize("Standard_NC48ads_A100_v4", _A100, 48, 2, 440),
    VmSize("Standard_NC96ads_A100_v4", _A100, 96, 4, 880),
    VmSize("Standard_ND96asr_v4", "standardNDASv4_A100Family", 96, 8, 900),
    VmSize("Standard_ND96amsr_A100_v4", "standardNDAMSv4_A100Family", 96, 8, 1900),
    VmSize("Standard_ND96isr_H100_v5", "standardNDSH100v5Family", 96, 8, 1900),
    VmSize("Standard_NC40ads_H100_v5", "StandardNCadsH100v5Family", 40, 1, 320),
    VmSize("Standard_NC80adis_H100_v5", "StandardNCadsH100v5Family", 80, 2, 640),
    VmSize("Standard_NC6", "standardNCFamily", 6, 1, 56),
    VmSize("Standard_NC12", "standardNCFamily", 12, 2, 112),
    VmSize("Standard_NC24", "standardNCFamily", 24, 4, 224),
    VmSize("Standard_NC24r", "standardNCFamily", 24, 4, 224),
    VmSize("Standard_D12_v2", "standardDv2Family", 4, 0, 28),
    VmSize("Standard_DS2_v2", "standardDSv2Family", 2, 0, 7),
    VmSize("Standard_DS3_v2", "standardDSv2Family", 4, 0, 14),
    VmSize("Standard_DS4_v2", "standardDSv2Family", 8, 0, 28),
    VmSize("Standard_DS5_v2", "standardDSv2Family", 16, 0, 56),
    VmSize("Standard_D2s_v3", "standardDSv3Family", 2, 0, 8),
    VmSize("Standard_D4s_v3", "standardDSv3Family", 4, 0, 16),
    VmSize("Standard_E2s_v3", "standardESv3Family", 2, 0, 16),
    VmSize("Standard_E4s_v3", "standardESv3Family", 4, 0, 32),
    VmSize("Standard_F2s_v2", "standardFSv2Family", 2, 0, 4),
    VmSize("Standard_F4s_v2", "standardFSv2Family", 4, 0, 8),
    VmSize("Standard_F8s_v2", "standardFSv2Family", 8, 0, 16),
)
SIZES = {size.name.lower(): size for size in _SIZES}


def cores_reserved(size: VmSize, instances: int) -> int:
    """Cores of quota that the instances of a deployment take.

    Azure reserves 20 % more instances than asked for, to upgrade them, and rounds up to whole ones.
    """
    return math.ceil(round(1.2 * instances, 6)) * size.cores


def usage(state: EmulatorState, family: str) -> int:
    """Cores of a family that deployments hold. Clusters scale to 0 when idle and hold none."""
    total = 0
    for deployment in state.deployments.values():
        size = SIZES.get(str(deployment.properties.get("instanceType", "")).lower())
        if size is not None and size.family == family:
            total += cores_reserved(size, int(deployment.sku.get("capacity", 1)))
    return total


def limit(state: EmulatorState, family: str) -> int:
    """Cores of a family that the subscription may use."""
    return state.quota.get(family, state.settings.default_quota)
