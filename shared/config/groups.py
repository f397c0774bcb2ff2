"""Each setting under its concern: its type, bounds, default, and its line in docs/settings.md.

The classes are one chain because a msgspec struct has one base; their order is that of the documentation.
Durations carry their unit in the name. Limits that nobody should turn are constants beside what they limit
(`shared/domain/dataset/rules.py`, `shared/domain/limits.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.domain.dataset.rules import SensitivePolicy
from shared.domain.run.current_model import PromotionPolicy
from shared.domain.run.options import (
    EvaluationRows,
    Hours,
    IgnoredKeys,
    Minutes,
    ModelReference,
    Name,
    ParameterValue,
    SettleSeconds,
)
from shared.domain.serving.record import StrategyName

Names = tuple[Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\*?\Z")], ...]
"""Names of things that are allowed; the environment has them comma-separated."""

ChosenSizes = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=10)]

_IMAGE = r"\A[a-z0-9][a-z0-9./_-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z"

LISTS = frozenset(
    {
        "allowed_computes",
        "allowed_compute_sizes",
        "allowed_instance_types",
        "allowed_parameters",
        "compute_size",
        "deployment_instance_type",
        "ignore_keys",
        "promotion_traffic",
        "serving",
    }
)
"""Settings whose text is a comma-separated list."""

JSON_OBJECTS = frozenset({"finetune_parameters", "prices_per_hour", "serving_variables"})
"""Settings whose text is a JSON object."""


class AzureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Azure ML workspace."""

    azure_subscription_id: Annotated[
        str, Meta(pattern=r"^[0-9a-fA-F-]{36}$", description="Subscription of the Azure ML workspace.")
    ]
    azure_resource_group: Annotated[
        str, Meta(min_length=1, max_length=90, description="Resource group of the workspace.")
    ]
    azureml_workspace: Annotated[Name, Meta(description="Name of the Azure ML workspace.")]
    azureml_registry: Annotated[
        Name, Meta(description="Registry of base models that `BASE_MODEL` names without a registry.")
    ] = "azureml"
    component_registry: Annotated[Name, Meta(description="Registry of the training component.")] = "azureml"
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
    scoring_queue_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Seconds that a request waits for its turn on a busy endpoint before it gets 429.",
        ),
    ] = 2


class DatasetSettings(AzureSettings, frozen=True, kw_only=True):
    """Dataset validation."""

    split_percentages: Annotated[
        str,
        Meta(
            pattern=r"^\d{1,3},\d{1,3},\d{1,3}$",
            description="Shares of training, validation and test rows of a single file; they add up to 100.",
        ),
    ] = "80,10,10"
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
        Annotated[int, Meta(ge=16)] | None,
        Meta(description="Tokens of a row that training keeps; empty is as many as the base model takes."),
    ] = None
    ignore_keys: Annotated[
        IgnoredKeys,
        Meta(
            description="Keys of rows and messages that may be left out, comma-separated, beside those of"
            " `run.json`."
        ),
    ] = ()
    sensitive_data: Annotated[
        SensitivePolicy,
        Meta(
            description="Rows with keys, tokens, card or account numbers: `warn`, `reject` or `mask` them,"
            " or `off`."
        ),
    ] = "warn"
    contact_data: Annotated[
        SensitivePolicy,
        Meta(description="The same for rows with e-mail addresses or phone numbers."),
    ] = "off"
    max_dataset_gibibytes: Annotated[
        int, Meta(ge=1, le=4096, description="GiB of a file, decompressed; a longer one is rejected.")
    ] = 64


class TrainingSettings(DatasetSettings, frozen=True, kw_only=True):
    """Training."""

    base_model: Annotated[
        ModelReference,
        Meta(
            description="Base model: `<name>` for the newest version, `<name>:<version>`, "
            "`azureml://registries/<registry>/models/<name>/versions/<version>`, `azureml:<name>:<version>` "
            "of the workspace, or `hf:<owner>/<name>`."
        ),
    ]
    allow_retired_model: Annotated[
        bool,
        Meta(description="`true` also takes a base model that is archived or retired from fine-tuning."),
    ] = False
    compute_cluster: Annotated[
        Name, Meta(description="GPU cluster for training, created if it is missing; or `serverless`.")
    ]
    compute_size: Annotated[
        ChosenSizes,
        Meta(
            description="VM size of that cluster, or of serverless compute; or several, comma-separated, the "
            "preferred one first."
        ),
    ]
    compute_max_nodes: Annotated[
        int, Meta(ge=1, le=100, description="Most nodes of a cluster that is created, and of a training job.")
    ] = 1
    compute_identity_id: Annotated[
        Annotated[
            str,
            Meta(pattern=r"\A/subscriptions/[^/\s]+/resource[gG]roups/\S+/userAssignedIdentities/[^/\s]+\Z"),
        ]
        | None,
        Meta(description="ARM id of the identity that a created cluster's jobs read data as; empty is none."),
    ] = None
    finetune_parameters: Annotated[
        dict[str, ParameterValue],
        Meta(description="JSON object of inputs of the training component, over the model's own defaults."),
    ] = {}
    max_eval_loss: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Evaluation loss above which a model is not deployed; empty is no limit."),
    ] = None
    stop_when_diverged: Annotated[
        bool,
        Meta(
            description="`true` stops training that cannot get better: its loss is not a number, or its "
            "evaluation loss rose three times in a row; otherwise the run only says so."
        ),
    ] = False


class DeploymentSettings(TrainingSettings, frozen=True, kw_only=True):
    """Deployment."""

    deployment_instance_type: Annotated[
        ChosenSizes,
        Meta(description="VM size of deployments; or several, comma-separated, the preferred one first."),
    ]
    deployment_instance_count: Annotated[int, Meta(ge=1, le=50, description="VMs of a deployment.")] = 1
    endpoint_lifetime_hours: Annotated[
        Hours,
        Meta(description="Hours from going live to being stopped: the endpoint is deleted, the model stays."),
    ] = 24
    endpoint_idle_minutes: Annotated[
        Minutes,
        Meta(description="Minutes without a scoring request until the endpoint stops, at least 1; 0 never."),
    ] = 60
    available: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(
            description="Weekly schedule by which models are started and stopped, e.g. "
            "`Mon-Fri 07:00-19:00 Europe/Berlin`; empty is at all times. `run.json` may say otherwise.",
        ),
    ] = None
    start_on_request: Annotated[
        bool,
        Meta(
            description="`true` deploys a stopped model again when a request names it; the request gets 503 "
            "with `Retry-After`. `run.json` may say otherwise."
        ),
    ] = False
    smoke_test_rows: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            description="Test conversations that a deployment must answer before it gets traffic.",
        ),
    ] = 3
    evaluation_rows: Annotated[
        EvaluationRows,
        Meta(
            description="Test conversations by which a deployment is measured before it gets traffic, "
            "at most 200; 0 is none. `run.json` may say otherwise."
        ),
    ] = 50
    promotion_traffic: Annotated[
        Annotated[tuple[Annotated[int, Meta(ge=1, le=100)], ...], Meta(min_length=1, max_length=10)],
        Meta(
            description="Percent of the requests to a dataset's name that a model gets before it has it, "
            "comma-separated and rising to 100; it goes back to none when errors or latency rise."
        ),
    ] = (100,)
    promotion_step_minutes: Annotated[
        float, Meta(gt=0, le=60 * 24, description="Minutes between these steps.")
    ] = 30
    evaluate_base: Annotated[
        bool,
        Meta(
            description="`true` evaluates the base model, too, in a second deployment for as long as that "
            "takes; without quota for it, or room under `MAX_LIVE_ENDPOINTS`, it is left out. `run.json` "
            "may say otherwise."
        ),
    ] = False
    promotion: Annotated[
        PromotionPolicy,
        Meta(
            description="Whether a model takes its dataset's name: `if_not_worse` than the current one on "
            "the test conversations, `always`, or `manual`. `run.json` may say otherwise."
        ),
    ] = "if_not_worse"


class ServingSettings(DeploymentSettings, frozen=True, kw_only=True):
    """Serving."""

    serving: Annotated[
        Annotated[tuple[StrategyName, ...], Meta(min_length=1)],
        Meta(description="Ways to serve a model, comma-separated, in the order in which they are tried."),
    ] = tuple(StrategyName)
    serving_concurrency: Annotated[
        int,
        Meta(ge=1, le=256, description="Requests that one VM of a deployment works on at once, with vLLM."),
    ] = 8
    vllm_image: Annotated[
        Annotated[str, Meta(pattern=_IMAGE)], Meta(description="Image and tag of `vllm-environment`.")
    ] = "mcr.microsoft.com/azureml/curated/foundation-model-inference:94"
    mlflow_image: Annotated[
        Annotated[str, Meta(pattern=_IMAGE)],
        Meta(description="Image and tag of `mlflow`, for a model whose metadata name the vLLM image."),
    ] = "mcr.microsoft.com/azureml/curated/mlflow-model-inference:21"
    max_model_len: Annotated[
        Annotated[int, Meta(ge=16)] | None,
        Meta(description="Tokens of prompt and reply that vLLM makes room for; empty is the model's number."),
    ] = None
    tensor_parallel: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="GPUs that vLLM spreads a model over; empty lets the image decide."),
    ] = None
    serving_variables: Annotated[
        dict[Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z")], str],
        Meta(description="JSON object of more variables of the serving container, text to text."),
    ] = {}


class BoundSettings(ServingSettings, frozen=True, kw_only=True):
    """Bounds on what callers may ask for."""

    max_training_runs: Annotated[
        int, Meta(ge=0, description="Most training jobs at once; further runs wait in turn. 0 is no limit.")
    ] = 4
    max_live_endpoints: Annotated[
        int,
        Meta(
            ge=0,
            description="Most endpoints at once, counted by their VMs; further runs wait. 0 is no limit.",
        ),
    ] = 4
    endpoint_max_lifetime_hours: Annotated[
        Hours, Meta(description="Most hours from going live that `run.json` or an extension may ask for.")
    ] = 168
    max_instance_count: Annotated[int, Meta(ge=1, le=50, description="Most VMs of a deployment.")] = 2
    max_epochs: Annotated[
        int, Meta(ge=1, le=10_000, description="Most epochs that `run.json` may ask for.")
    ] = 10
    max_steps: Annotated[
        int, Meta(ge=1, le=2**31, description="Most training steps that `run.json` may ask for.")
    ] = 100000
    max_batch_size: Annotated[
        int, Meta(ge=1, le=4_096, description="Largest batch size that `run.json` may ask for.")
    ] = 64
    max_run_cost: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="Most that a run may cost: rejected if its quote is over it, and its training is "
            "canceled before it passes it; empty is no limit."
        ),
    ] = None
    max_monthly_cost: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="Most that all runs may cost in a calendar month (UTC), by what was used and is "
            "committed; empty is no limit."
        ),
    ] = None
    allowed_computes: Annotated[
        Names,
        Meta(
            description="Further clusters that `run.json` may name, comma-separated; "
            "`a*` matches existing ones whose names begin with `a`; one that is named in full is created."
        ),
    ] = ()
    allowed_compute_sizes: Annotated[
        Names,
        Meta(description="Further VM sizes for training that `run.json` may name, comma-separated."),
    ] = ()
    allowed_instance_types: Annotated[
        Names,
        Meta(description="Further VM sizes of deployments that `run.json` may name, comma-separated."),
    ] = ()
    allowed_parameters: Annotated[
        Names,
        Meta(description="Further training inputs that `run.json` may set, comma-separated."),
    ] = ()


class PaceSettings(BoundSettings, frozen=True, kw_only=True):
    """Deadlines and pace."""

    training_deadline_hours: Annotated[
        Hours, Meta(description="Hours after which a training job is given up.")
    ] = 72
    job_resubmissions: Annotated[
        int,
        Meta(ge=0, le=20, description="Times that a job that was lost to preemption is submitted again."),
    ] = 2
    compute_deadline_minutes: Annotated[
        float,
        Meta(gt=0, le=60 * 24 * 365, description="Minutes after which a cluster that is not up is given up."),
    ] = 60
    deployment_deadline_minutes: Annotated[
        float, Meta(gt=0, le=60 * 24 * 365, description="Minutes after which a deployment is given up.")
    ] = 240
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
    settle_seconds: Annotated[
        SettleSeconds,
        Meta(
            description="Seconds for which an upload must not change until its run opens; 0 opens it at once."
        ),
    ] = 10
    job_poll_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds between looks at a training job.")
    ] = 60
    operation_poll_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds between looks at an endpoint that is changing.")
    ] = 5
    advance_schedule: Annotated[
        str, Meta(description="When due runs are looked for: six-field schedule, UTC.")
    ] = "0 * * * * *"
    reconcile_schedule: Annotated[
        str, Meta(description="When leftovers are removed: six-field schedule, UTC.")
    ] = "0 */15 * * * *"
    reconcile_dry_run: Annotated[
        bool,
        Meta(description="`true` only logs which leftovers would be removed; runs still end by themselves."),
    ] = False


class ApiSettings(PaceSettings, frozen=True, kw_only=True):
    """Callers, costs and the page."""

    api_keys: Annotated[
        str | None,
        Meta(description="Keys of `/api/v1`, e.g. the function key, comma-separated; empty accepts none."),
    ] = None
    prices: Annotated[
        Literal["settings", "azure"],
        Meta(
            description="What VMs cost: `settings` knows PRICES_PER_HOUR alone; `azure` also reads Azure's "
            "public price list for the workspace's region, once a day."
        ),
    ] = "settings"
    prices_per_hour: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        Meta(description="JSON object, VM size to price per hour: what you pay, before any list price."),
    ] = {}
    price_currency: Annotated[
        str | None,
        Meta(
            description="Currency of prices, e.g. `EUR`; with `PRICES=azure` an ISO code, by default `USD`."
        ),
    ] = None
    dashboard_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/\s<>|#]+[^\s<>|#]*$")] | None,
        Meta(description="Address of the page, `https://…/api/dashboard`; `teams` and `slack` link to it."),
    ] = None


class NotificationSettings(ApiSettings, frozen=True, kw_only=True):
    """Notifications."""

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


def setting_groups() -> dict[str, tuple[str, ...]]:
    """The settings' names by the heading of their concern, in the order of the documentation."""
    chain = [cls for cls in reversed(NotificationSettings.__mro__) if issubclass(cls, AzureSettings)]
    return {(cls.__doc__ or "").rstrip("."): tuple(cls.__annotations__) for cls in chain}
