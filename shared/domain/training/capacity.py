"""Choose VM sizes by what the model allows, the region offers, and the subscription's quota has room for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from shared.domain.errors import AbsentError, InvalidRunError
from shared.domain.run.options import choose_another


class VmSize(NamedTuple):
    """A VM size of the region.

    Attributes:
        gpus: Of one VM.
        cores: Its vCPUs.
        family: The family whose quota it uses.
        name: As Azure spells it, whose price list tells upper from lower case.
    """

    gpus: int
    cores: int
    family: str
    name: str = ""


class Quota(NamedTuple):
    """vCPUs of a family: how many are in use, and how many the subscription may use."""

    used: int
    limit: int


class Choice(NamedTuple):
    """The size that was chosen, and why not each of those before it."""

    size: str
    passed_over: tuple[tuple[str, str], ...] = ()


def cores_for_endpoint(size: VmSize, instances: int) -> int:
    """VCPUs of quota that a deployment takes: Azure reserves a fifth more instances, to upgrade them.

    Source: "Troubleshoot online endpoints", OutOfQuota: `ceil(1.2 * instances) * cores`.
    """
    return math.ceil(round(1.2 * instances, 6)) * size.cores


def choose_size(
    wanted: Iterable[str],
    option: str,
    sizes: Mapping[str, VmSize],
    quotas: Mapping[str, Quota],
    *,
    check: Callable[[str], None],
    cores: Callable[[VmSize], int],
    with_gpu: bool = False,
) -> Choice:
    """Take the first size that fits; one whose quota is only in use now comes after those that have room.

    Args:
        wanted: The sizes, the preferred one first.
        option: The option that names them, for messages.
        sizes: Those of the region, by name in lower case.
        quotas: Of families, by name in lower case; a family that is not there is not known to lack anything.
        check: Raises InvalidRunError for a size that the model does not allow.
        cores: vCPUs of quota that the use of a size needs.
        with_gpu: Whether the size must have a GPU.

    Raises:
        InvalidRunError: If none can be used: what is wrong with each.
        AbsentError: The same, if the region's list lacks one of them.
    """
    refused: list[tuple[str, str]] = []
    busy: list[tuple[str, str]] = []
    for name in wanted:
        fault = _fault_of(name, option, sizes, quotas, check, cores, with_gpu=with_gpu)
        if fault is not None:
            refused.append((name, fault))
            continue
        size = sizes[name.lower()]
        quota, needed = quotas.get(size.family.lower()), cores(size)
        if quota is None or quota.limit - quota.used >= needed:
            return Choice(name, (*refused, *busy))
        in_use = f"{quota.used} of {quota.limit} vCPUs of {size.family} are in use, and it needs {needed}"
        busy.append((name, in_use))
    if busy:
        return Choice(busy[0][0], tuple(refused))
    message = "; ".join(fault for _, fault in refused)
    if any(name.lower() not in sizes for name, _ in refused):
        # One list that lacks a size proves nothing.
        raise AbsentError(message, code="VmSizeNotOffered")
    raise InvalidRunError(message)


def _fault_of(
    name: str,
    option: str,
    sizes: Mapping[str, VmSize],
    quotas: Mapping[str, Quota],
    check: Callable[[str], None],
    cores: Callable[[VmSize], int],
    *,
    with_gpu: bool,
) -> str | None:
    try:
        check(name)
    except InvalidRunError as fault:
        return fault.message
    size = sizes.get(name.lower())
    if size is None:
        return f"VM size {name} is not offered in the workspace's region: {choose_another(option)}"
    if with_gpu and not size.gpus:
        return f"VM size {name} has no GPU: {choose_another(option)}"
    quota, needed = quotas.get(size.family.lower()), cores(size)
    if quota is not None and quota.limit < needed:
        return (
            f"VM size {name} needs {needed} vCPUs of quota {size.family}, which is {quota.limit}: "
            f"ask for more quota, or {choose_another(option)}"
        )
    return None
