"""Every operation that the emulator serves, and what each kind of long-running operation does at its end."""

from __future__ import annotations

from azureml_emulator import controls
from azureml_emulator.arm import (
    assets,
    codes,
    computes,
    datastores,
    deployments,
    endpoint_keys,
    endpoints,
    identity,
    jobs,
    operation_status,
    registry,
    registry_assets,
    retail_prices,
    vm_sizes,
    workspaces,
)
from azureml_emulator.dataplane import blobs, history, mlflow, run_logs
from azureml_emulator.serving import front_door

ROUTES = (
    *identity.ROUTES,
    *workspaces.ROUTES,
    *vm_sizes.ROUTES,
    *retail_prices.ROUTES,
    *operation_status.ROUTES,
    *computes.ROUTES,
    *datastores.ROUTES,
    *registry.ROUTES,
    *registry_assets.ROUTES,
    *assets.ROUTES,
    *codes.ROUTES,
    *jobs.ROUTES,
    *history.ROUTES,
    *run_logs.ROUTES,
    *mlflow.ROUTES,
    *endpoints.ROUTES,
    *endpoint_keys.ROUTES,
    *deployments.ROUTES,
    *front_door.ROUTES,
    *blobs.ROUTES,
    *controls.ROUTES,
)
COMPLETIONS = {
    **computes.COMPLETIONS,
    **endpoints.COMPLETIONS,
    **endpoint_keys.COMPLETIONS,
    **deployments.COMPLETIONS,
    **jobs.COMPLETIONS,
    **registry_assets.COMPLETIONS,
}
