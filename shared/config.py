"""The app's settings, read from the environment in one go.

Every missing or malformed setting is named in one error. Each field of `Settings` is the environment
variable of the same name in capitals; its description is the README's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.domain.dataset import RowPolicy, ValidationRules
from shared.domain.errors import FinetuneError
from shared.domain.fields import Problem, convert_fields
from shared.domain.limits import Limits
from shared.domain.run.cost import Prices
from shared.domain.run.options import Hours, Minutes, Name, ParameterValue, RunOptions

DATA_CONNECTION = "TrainingStorage"
"""Prefix of the data account's connection settings, as the blob and queue triggers name it."""

_CRON_FIELDS = 6
_JSON_FIELDS = frozenset({"finetune_parameters", "prices_per_hour"})


class SettingsError(FinetuneError):
    """The environment does not hold usable settings; the message names every one at fault."""


class StorageConnection(msgspec.Struct, frozen=True):
    """How to reach the data account: a connection string, or the services' addresses with an identity."""

    connection_string: str | None = None
    blob_service_uri: str | None = None
    queue_service_uri: str | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Durations carry their unit in the name."""

    azure_subscription_id: Annotated[
        str, Meta(pattern=r"^[0-9a-fA-F-]{36}$", description="Subscription of the Azure ML workspace.")
    ]
    azure_resource_group: Annotated[
        str, Meta(min_length=1, max_length=90, description="Resource group of the workspace.")
    ]
    azureml_workspace: Annotated[Name, Meta(description="Name of the Azure ML workspace.")]
    azureml_registry: Annotated[
        Name, Meta(description="Registry that holds the base model and the training component.")
    ] = "azureml"
    base_model: Annotated[
        Name, Meta(description="Base model: `<name>` for the newest version, or `<name>:<version>`.")
    ]
    allow_retired_model: Annotated[
        bool,
        Meta(description="`true` also takes a base model that is archived or retired from fine-tuning."),
    ] = False
    compute_cluster: Annotated[
        Name, Meta(description="GPU cluster for training, created if it is missing; or `serverless`.")
    ]
    compute_size: Annotated[Name, Meta(description="VM size of that cluster, or of serverless compute.")]
    compute_max_nodes: Annotated[
        int, Meta(ge=1, le=100, description="Most nodes of a cluster that is created.")
    ] = 1
    compute_identity_id: Annotated[
        Annotated[
            str,
            Meta(pattern=r"\A/subscriptions/[^/\s]+/resource[gG]roups/\S+/userAssignedIdentities/[^/\s]+\Z"),
        ]
        | None,
        Meta(description="ARM id of the identity that a created cluster's jobs read data as; empty is none."),
    ] = None
    deployment_instance_type: Annotated[Name, Meta(description="VM size of deployments.")]
    deployment_instance_count: Annotated[int, Meta(ge=1, le=50, description="VMs of a deployment.")] = 1
    endpoint_auth_mode: Annotated[
        Literal["aad_token", "key"],
        Meta(description="How this app signs in to endpoints: `aad_token` (no secrets) or `key`."),
    ] = "aad_token"
    scoring_domain: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$",
            description="Domain of the workspace's endpoints; this app scores, and signs in, nowhere else.",
        ),
    ] = "inference.ml.azure.com"
    endpoint_lifetime_hours: Annotated[Hours, Meta(description="Hours from going live to being deleted.")] = (
        24
    )
    endpoint_max_lifetime_hours: Annotated[
        Hours, Meta(description="Most hours from going live that `run.json` or an extension may ask for.")
    ] = 168
    endpoint_idle_minutes: Annotated[
        Minutes, Meta(description="Minutes without a scoring request until an endpoint is deleted; 0 never.")
    ] = 60
    max_training_runs: Annotated[
        int, Meta(ge=0, description="Most training jobs at once; further runs wait in order. 0 is no limit.")
    ] = 4
    max_live_endpoints: Annotated[
        int, Meta(ge=0, description="Most endpoints at once; further runs wait in order. 0 is no limit.")
    ] = 4
    training_deadline_hours: Annotated[
        Hours, Meta(description="Hours after which a training job is given up.")
    ] = 72
    compute_deadline_minutes: Annotated[
        float,
        Meta(gt=0, le=60 * 24 * 365, description="Minutes after which a cluster that is not up is given up."),
    ] = 60
    submission_deadline_minutes: Annotated[
        float,
        Meta(
            gt=0,
            le=60 * 24 * 365,
            description="Minutes after which a submitted job that is not to be seen is given up.",
        ),
    ] = 60
    deployment_deadline_minutes: Annotated[
        float, Meta(gt=0, le=60 * 24 * 365, description="Minutes after which a deployment is given up.")
    ] = 120
    fault_deadline_hours: Annotated[
        Hours, Meta(description="Hours of unbroken faults after which a run is given up.")
    ] = 12
    refusal_deadline_minutes: Annotated[
        float,
        Meta(
            gt=0,
            le=60 * 24,
            description="Minutes for which an absence or a refusal must last before a run ends over it.",
        ),
    ] = 5
    split_percentages: Annotated[
        str,
        Meta(
            pattern=r"^\d{1,3},\d{1,3},\d{1,3}$",
            description="Shares of training, validation and test rows of a single file; they add up to 100.",
        ),
    ] = "80,10,10"
    split_seed: Annotated[int, Meta(ge=0, lt=2**31, description="Seed of the split.")] = 42
    row_policy: Annotated[
        Literal["strict", "drop"],
        Meta(description="`strict` rejects a dataset that has a faulty row; `drop` leaves such rows out."),
    ] = "strict"
    max_dropped_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="With `drop`, the share of rows that may be left out before the dataset is rejected.",
        ),
    ] = 5
    context_window: Annotated[
        int,
        Meta(
            ge=16,
            description="Tokens that the base model takes; longer rows are reported as truncated.",
        ),
    ] = 4096
    max_line_mebibytes: Annotated[
        int,
        Meta(ge=1, le=1024, description="MiB of a line; a longer one is a fault, and is not held in memory."),
    ] = 4
    max_blank_lines: Annotated[
        int, Meta(ge=0, description="Blank lines of a file; more of them end the check.")
    ] = 100_000
    max_dataset_gibibytes: Annotated[
        int, Meta(ge=1, le=4096, description="GiB of a file, decompressed; a longer one is rejected.")
    ] = 64
    max_expansion: Annotated[
        int,
        Meta(
            ge=1,
            description="Decompressed bytes per compressed byte, beyond the first 16 MiB; more is a bomb.",
        ),
    ] = 200
    finetune_parameters: Annotated[
        dict[str, ParameterValue],
        Meta(description="JSON object of inputs of the training component, over the model's own defaults."),
    ] = {}
    max_eval_loss: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Evaluation loss above which a model is not deployed; empty is no limit."),
    ] = None
    smoke_test_rows: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            description="Test conversations that a deployment must answer before it gets traffic.",
        ),
    ] = 3
    experiment_name: Annotated[Name, Meta(description="Azure ML experiment of the training jobs.")] = (
        "finetune-on-upload"
    )
    datastore_name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9_]{1,255}$",
            description="Azure ML datastore over the `datasets` container, created if it is missing.",
        ),
    ] = "finetune_datasets"
    job_poll_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds between looks at a training job.")
    ] = 60
    operation_poll_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds between looks at an endpoint that is changing.")
    ] = 10
    advance_schedule: Annotated[
        str, Meta(description="When due runs are looked for: six-field schedule, UTC.")
    ] = "0 * * * * *"
    reconcile_schedule: Annotated[
        str, Meta(description="When leftovers are removed: six-field schedule, UTC.")
    ] = "0 */15 * * * *"
    api_keys: Annotated[
        str | None,
        Meta(description="Keys of `/api/v1`, e.g. the function key, comma-separated; empty accepts none."),
    ] = None
    prices_per_hour: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        Meta(description="JSON object, VM size to price per hour: runs then show cost. None is built in."),
    ] = {}
    price_currency: Annotated[
        str | None, Meta(description="Currency of these prices, as costs show it, e.g. `EUR`.")
    ] = None
    webhook_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/]+")] | None,
        Meta(description="Where a notification of each stage change is sent; if empty, none is sent."),
    ] = None
    webhook_secret: Annotated[
        str | None,
        Meta(description="Secret that signs notifications (HMAC-SHA256); if empty, they are unsigned."),
    ] = None
    webhook_format: Annotated[
        Literal["cloudevents", "teams", "slack"],
        Meta(description="Format of notifications: `cloudevents`, or a message for `teams` or `slack`."),
    ] = "cloudevents"
    dashboard_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/\s<>|#]+[^\s<>|#]*$")] | None,
        Meta(description="Address of the page, `https://…/api/dashboard`; `teams` and `slack` link to it."),
    ] = None
    storage: StorageConnection = StorageConnection()

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Args:
            environment: Usually `os.environ`. An empty value counts as missing.

        Raises:
            SettingsError: Naming every setting that is missing or malformed.
        """
        values: dict[str, Any] = {
            field.name: environment[field.name.upper()].strip()
            for field in setting_fields()
            if environment.get(field.name.upper(), "").strip()
        }
        problems: list[Problem] = []
        for name in _JSON_FIELDS & values.keys():
            try:
                values[name] = msgspec.json.decode(values[name])
            except (msgspec.DecodeError, UnicodeError) as fault:
                problems.append(Problem(name.upper(), f"is not JSON: {fault}"))
                del values[name]
        converted, faults = convert_fields(cls, values, strict=False)
        problems += [Problem(name.upper(), message) for name, message in faults]
        problems += [
            Problem(field.name.upper(), "is missing")
            for field in setting_fields()
            if field.required and field.name not in values
        ]
        problems += _check_meaning(converted)
        notifications = "webhook_url" in converted
        converted["storage"] = _storage(environment, problems, notifications=notifications)
        if problems:
            raise SettingsError("settings: " + "; ".join(map(str, sorted(problems))))
        return cls(**converted)

    def default_options(self) -> RunOptions:
        """The options of a run whose upload brings no `run.json`."""
        return RunOptions(
            base_model=self.base_model,
            parameters=self.finetune_parameters,
            compute=self.compute_cluster,
            compute_size=self.compute_size,
            instance_type=self.deployment_instance_type,
            instance_count=self.deployment_instance_count,
            lifetime_hours=self.endpoint_lifetime_hours,
            idle_minutes=self.endpoint_idle_minutes,
            row_policy=self.row_policy,
        )

    @property
    def workspace_uri(self) -> str:
        """The workspace, as Azure Resource Manager names it."""
        return (
            f"/subscriptions/{self.azure_subscription_id}/resourceGroups/{self.azure_resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.azureml_workspace}"
        )

    @property
    def prices(self) -> Prices:
        """What VM sizes cost."""
        return Prices(self.prices_per_hour, self.price_currency)

    @property
    def accepted_keys(self) -> tuple[str, ...]:
        """The keys that `/api/v1` accepts."""
        return tuple(key for key in map(str.strip, (self.api_keys or "").split(",")) if key)

    def validation_rules(self, options: RunOptions) -> ValidationRules:
        """The dataset validation rules for a run."""
        train, validation, test = (int(share) for share in self.split_percentages.split(","))
        return ValidationRules(
            row_policy=RowPolicy(options.row_policy),
            max_dropped_percent=self.max_dropped_percent,
            train_percent=train,
            validation_percent=validation,
            test_percent=test,
            seed=self.split_seed,
            context_window=self.context_window,
            smoke_samples=self.smoke_test_rows,
            max_line_bytes=self.max_line_mebibytes * 2**20,
            max_blank_lines=self.max_blank_lines,
            max_uncompressed_bytes=self.max_dataset_gibibytes * 2**30,
            max_expansion=self.max_expansion,
        )

    def limits(self) -> Limits:
        """The bounds within which runs are decided upon."""
        return Limits(
            training_deadline=timedelta(hours=self.training_deadline_hours),
            compute_deadline=timedelta(minutes=self.compute_deadline_minutes),
            submission_deadline=timedelta(minutes=self.submission_deadline_minutes),
            deployment_deadline=timedelta(minutes=self.deployment_deadline_minutes),
            fault_deadline=timedelta(hours=self.fault_deadline_hours),
            refusal_deadline=timedelta(minutes=self.refusal_deadline_minutes),
            max_eval_loss=self.max_eval_loss,
            job_poll=timedelta(seconds=self.job_poll_seconds),
            operation_poll=timedelta(seconds=self.operation_poll_seconds),
        )


def setting_fields() -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields that are environment variables, in the order of the documentation."""
    return tuple(field for field in msgspec.structs.fields(Settings) if field.name != "storage")


def _check_meaning(values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    shares = [int(share) for share in values.get("split_percentages", "80,10,10").split(",")]
    if sum(shares) != 100 or min(shares) == 0:
        problems.append(Problem("SPLIT_PERCENTAGES", "must be three shares above 0 that add up to 100"))
    for name in ("advance_schedule", "reconcile_schedule"):
        if name in values and len(values[name].split()) != _CRON_FIELDS:
            problems.append(Problem(name.upper(), "must have six fields, seconds first, e.g. `0 * * * * *`"))
    if values.get("endpoint_max_lifetime_hours", 168) < values.get("endpoint_lifetime_hours", 24):
        problems.append(Problem("ENDPOINT_MAX_LIFETIME_HOURS", "must not be below ENDPOINT_LIFETIME_HOURS"))
    return problems


def _storage(
    environment: Mapping[str, str], problems: list[Problem], *, notifications: bool
) -> StorageConnection:
    text = environment.get(DATA_CONNECTION, "").strip()
    address = environment.get(f"{DATA_CONNECTION}__blobServiceUri", "").strip()
    if not text and not address:
        problems.append(
            Problem(
                DATA_CONNECTION, "is missing: set a connection string, or TrainingStorage__blobServiceUri"
            ),
        )
    if address and not re.match(r"^https?://[^/]+", address):
        problems.append(Problem(f"{DATA_CONNECTION}__blobServiceUri", "must be an http(s) address"))
    queues = environment.get(f"{DATA_CONNECTION}__queueServiceUri", "").strip()
    if notifications and not text and not queues:
        problems.append(
            Problem(f"{DATA_CONNECTION}__queueServiceUri", "is missing: notifications wait in a queue")
        )
    return StorageConnection(
        connection_string=text or None,
        blob_service_uri=address or None,
        queue_service_uri=queues or None,
    )
