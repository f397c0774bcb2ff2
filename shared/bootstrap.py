"""The composition root: the only place that names concrete adapters. All is built once, when first used."""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from shared.app import App
from shared.config import Settings
from shared.once import Once
from shared.ports import Services
from shared.serving.admission import Admission
from shared.serving.canary import CanaryWatch
from shared.serving.endpoint_directory import EndpointDirectory
from shared.struct_types import resolve_struct_types

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.adapters.telemetry import OpenTelemetry


def app() -> App:
    """The app of this process, built from its environment when first asked for.

    Not while the worker imports it: an import that fails shows in Azure only as missing functions.

    Raises:
        SettingsError: Naming every setting that is missing or malformed.
        TransientServiceError: If the cloud's metadata could not be read.
    """
    return APP.get()


SWITCH_SECONDS = 0.0005
"""How long a thread that computes may keep the interpreter from the event loop, which answers all callers.

Eight threads that computed half of their time made an answer on the loop take 90 ms at Python's own 5 ms, and
10 ms at this (median, two cores)."""


def _build() -> App:
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = Settings.from_env(os.environ)
    services = build_services(settings, credential())
    directory = EndpointDirectory(services)
    admission = Admission(settings.scoring_queue_seconds)
    return App(settings, services, directory, admission, CanaryWatch(services, directory))


APP = Once(_build)
"""The app of this process, for callers on the event loop, too."""


def build_services(
    settings: Settings,
    credential: TokenCredential,
    telemetry: OpenTelemetry | None = None,
) -> Services:
    """Wire every port to Azure, each call a span."""
    from shared.adapters.azureml.arm import Arm, WorkspaceId, arm_base_url, registry_discovery_url
    from shared.adapters.azureml.endpoints import AzureMlEndpoints
    from shared.adapters.azureml.metrics import MlflowMetrics
    from shared.adapters.azureml.registry import AzureMlRegistries
    from shared.adapters.azureml.scoring import EndpointScoring
    from shared.adapters.azureml.training import AzureMlTraining
    from shared.adapters.azureml.workspace import AzureMlWorkspace
    from shared.adapters.fixed_prices import FixedPrices
    from shared.adapters.http.trusted_hosts import TrustedHosts
    from shared.adapters.http.webhook import HttpWebhook
    from shared.adapters.retail_prices import RetailPrices, price_list_url
    from shared.adapters.storage import advance_queue, notification_queue, upload_queue
    from shared.adapters.storage.account import blob_service, datastore_address, installation_name
    from shared.adapters.storage.advance_queue import StorageAdvanceQueue
    from shared.adapters.storage.content_index import BlobContentIndex
    from shared.adapters.storage.current_models import BlobCurrentModels
    from shared.adapters.storage.datasets import BlobDatasets, BlobUploads
    from shared.adapters.storage.evaluations import BlobEvaluations
    from shared.adapters.storage.ignored_uploads import BlobIgnoredUploads
    from shared.adapters.storage.job_times import BlobJobTimes
    from shared.adapters.storage.notification_queue import NoNotifications, NotificationQueue
    from shared.adapters.storage.queues import open_queue
    from shared.adapters.storage.reports import BlobReports
    from shared.adapters.storage.run_lock import BlobRunLock
    from shared.adapters.storage.run_store import BlobRunStore
    from shared.adapters.storage.serving_memory import BlobServingMemory
    from shared.adapters.storage.slots import BlobSlots
    from shared.adapters.storage.upload_queue import UploadQueue
    from shared.adapters.storage.upload_writer import BlobUploadWriter
    from shared.adapters.telemetry import OpenTelemetry

    resolve_struct_types()
    telemetry = telemetry or OpenTelemetry()
    now = partial(datetime.now, UTC)
    blobs = blob_service(settings.storage, credential)
    base_url = arm_base_url()
    trusted = TrustedHosts(base_url, [registry_discovery_url()])
    arm = Arm(credential, base_url, f"{base_url.rstrip('/')}/.default", trusted)
    workspace_id = WorkspaceId(
        settings.azure_subscription_id,
        settings.azure_resource_group,
        settings.azureml_workspace,
    )
    workspace = AzureMlWorkspace(
        arm,
        workspace_id,
        datastore=settings.datastore_name,
        account=datastore_address(blobs),
        compute_identity=settings.compute_identity_id,
    )
    datasets = BlobDatasets(blobs, settings.datastore_name)
    endpoints = AzureMlEndpoints(arm, workspace_id, workspace, installation=installation_name(blobs))
    plain = Services(
        runs=BlobRunStore(blobs),
        run_lock=BlobRunLock(blobs),
        content_index=BlobContentIndex(blobs),
        slots=BlobSlots(blobs),
        uploads=BlobUploads(blobs),
        upload_writer=BlobUploadWriter(blobs),
        upload_checks=UploadQueue(open_queue(settings.storage, credential, upload_queue.QUEUE)),
        ignored_uploads=BlobIgnoredUploads(blobs),
        datasets=datasets,
        reports=BlobReports(blobs),
        evaluations=BlobEvaluations(blobs),
        current_models=BlobCurrentModels(blobs),
        registry=AzureMlRegistries(
            arm,
            registry_discovery_url(),
            models=settings.azureml_registry,
            components=settings.component_registry,
            workspace=workspace_id,
        ),
        workspace=workspace,
        prices=RetailPrices(
            price_list_url(),
            lambda: workspace.location,
            now,
            currency=settings.price_currency,
            own=settings.prices_per_hour,
        )
        if settings.prices == "azure"
        else FixedPrices(settings.own_prices),
        training=AzureMlTraining(
            arm,
            credential,
            workspace_id,
            workspace,
            datasets,
            trusted,
            registry=settings.component_registry,
            experiment=settings.experiment_name,
        ),
        metrics=MlflowMetrics(arm, workspace, settings.experiment_name),
        endpoints=endpoints,
        scoring=EndpointScoring(credential, endpoints, domain=settings.scoring_domain),
        job_times=BlobJobTimes(blobs),
        serving_memory=BlobServingMemory(blobs),
        advance_queue=StorageAdvanceQueue(
            open_queue(settings.storage, credential, advance_queue.QUEUE),
            open_queue(settings.storage, credential, advance_queue.AHEAD),
        ),
        notifications=NotificationQueue(open_queue(settings.storage, credential, notification_queue.QUEUE))
        if settings.webhook_url
        else NoNotifications(),
        webhook=HttpWebhook(settings.webhook_url or ""),
        telemetry=telemetry,
        now=now,
        jitter=random.random,
    )
    return telemetry.traced(plain)


def credential() -> TokenCredential:
    """The app's identity: its managed identity in Azure, the developer's own login elsewhere."""
    from azure.identity import DefaultAzureCredential

    from shared.adapters.http.transport import BriefTransport
    from shared.adapters.retries import TOKEN_RETRIES

    return DefaultAzureCredential(transport=BriefTransport(), **TOKEN_RETRIES)
