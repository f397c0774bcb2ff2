"""All settings, read from the environment, and what the domain needs of them.

Every missing or malformed setting is named in one error. Each field of `Settings` is the environment
variable of the same name in capitals; its description is that of docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from shared.config.checks import UNRESOLVED, check_cost, check_each
from shared.config.groups import JSON_OBJECTS, LISTS, NotificationSettings
from shared.config.storage import StorageConnection, read_storage
from shared.domain.dataset import RowPolicy, ValidationRules
from shared.domain.errors import FinetuneError
from shared.domain.fields import Problem, convert_fields
from shared.domain.limits import SUBMISSION_DEADLINE, Limits
from shared.domain.run.bounds import Bounds
from shared.domain.run.cost import Prices
from shared.domain.run.options import RunOptions
from shared.domain.serving.strategies.strategy import ServingOptions


class SettingsError(FinetuneError):
    """The environment does not hold usable settings; the message names every one at fault."""


class Settings(NotificationSettings, frozen=True, kw_only=True):
    """Everything that can be set."""

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
        for name in JSON_OBJECTS & values.keys():
            try:
                values[name] = msgspec.json.decode(values[name])
            except (msgspec.DecodeError, UnicodeError) as fault:
                problems.append(Problem(name.upper(), f"is not JSON: {fault}"))
                del values[name]
        for name in LISTS & values.keys():
            values[name] = tuple(filter(None, map(str.strip, values[name].split(","))))
        converted, faults = convert_fields(cls, values, strict=False)
        problems += [Problem(name.upper(), message) for name, message in faults]
        problems += [
            Problem(field.name.upper(), "is missing")
            for field in setting_fields()
            if field.required and field.name not in values
        ]
        problems += check_each(converted)
        storage, faults = read_storage(environment)
        problems += faults
        if not problems:
            settings = cls(**converted, storage=storage)
            problems += check_cost(
                settings.default_options(),
                settings.bounds(),
                capped={
                    "MAX_RUN_COST": settings.max_run_cost,
                    "MAX_MONTHLY_COST": settings.max_monthly_cost,
                },
                listed=settings.prices == "azure",
            )
        if problems:
            raise SettingsError("settings: " + "; ".join(map(str, sorted(problems))))
        return settings

    def default_options(self) -> RunOptions:
        """The options of a run whose upload brings no `run.json`."""
        return RunOptions(
            base_model=self.base_model,
            parameters=self.finetune_parameters,
            compute=self.compute_cluster,
            compute_size=self.compute_size[0],
            other_compute_sizes=self.compute_size[1:],
            instance_type=self.deployment_instance_type[0],
            other_instance_types=self.deployment_instance_type[1:],
            instance_count=self.deployment_instance_count,
            lifetime_hours=self.endpoint_lifetime_hours,
            idle_minutes=self.endpoint_idle_minutes,
            row_policy=self.row_policy,
            start_on_request=self.start_on_request,
            available=self.available or "",
            serving_concurrency=self.serving_concurrency,
            settle_seconds=self.settle_seconds,
            evaluation_rows=self.evaluation_rows,
            promotion=self.promotion,
            evaluate_base=self.evaluate_base,
        )

    def serving_options(self, options: RunOptions) -> ServingOptions:
        """How a run's model may be served."""
        return ServingOptions(
            order=self.serving,
            vllm_image=self.vllm_image,
            mlflow_image=self.mlflow_image,
            concurrency=options.serving_concurrency,
            max_model_len=self.max_model_len,
            tensor_parallel=self.tensor_parallel,
            variables=self.serving_variables,
        )

    def bounds(self) -> Bounds:
        """What a `run.json` may ask for at most."""
        same = {name: getattr(self, name) for name in Bounds.__struct_fields__ if name != "prices"}
        prices = {size.lower(): price for size, price in self.prices_per_hour.items()}
        return Bounds(**same, prices=prices)

    @property
    def workspace_uri(self) -> str:
        """The workspace, as Azure Resource Manager names it."""
        return (
            f"/subscriptions/{self.azure_subscription_id}/resourceGroups/{self.azure_resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.azureml_workspace}"
        )

    @property
    def caps_cost(self) -> bool:
        """Whether there is a cap on cost, which is nothing without prices."""
        return self.max_run_cost is not None or self.max_monthly_cost is not None

    @property
    def own_prices(self) -> Prices:
        """What VM sizes cost, as far as the settings say."""
        return Prices(self.prices_per_hour, self.price_currency)

    @property
    def accepted_keys(self) -> tuple[str, ...]:
        """The keys that `/api/v1` accepts; a Key Vault reference that Azure did not resolve is none."""
        keys = map(str.strip, (self.api_keys or "").split(","))
        return tuple(key for key in keys if key and not key.startswith(UNRESOLVED))

    def validation_rules(self, options: RunOptions, context_window: int) -> ValidationRules:
        """The dataset validation rules for a run."""
        train, validation, test = (int(share) for share in self.split_percentages.split(","))
        return ValidationRules(
            row_policy=RowPolicy(options.row_policy),
            max_dropped_percent=self.max_dropped_percent,
            train_percent=train,
            validation_percent=validation,
            test_percent=test,
            ignore_keys=tuple(dict.fromkeys((*self.ignore_keys, *options.ignore_keys))),
            preference=options.preference,
            vision=options.vision,
            tools=options.tools,
            pretemplated=options.pretemplated,
            mask=options.mask,
            sensitive_data=self.sensitive_data,
            contact_data=self.contact_data,
            context_window=context_window,
            smoke_samples=max(self.smoke_test_rows, options.evaluation_rows),
            max_uncompressed_bytes=self.max_dataset_gibibytes * 2**30,
        )

    def limits(self) -> Limits:
        """The bounds within which runs are decided upon."""
        return Limits(
            training_deadline=timedelta(hours=self.training_deadline_hours),
            compute_deadline=timedelta(minutes=self.compute_deadline_minutes),
            submission_deadline=SUBMISSION_DEADLINE,
            deployment_deadline=timedelta(minutes=self.deployment_deadline_minutes),
            fault_deadline=timedelta(hours=self.fault_deadline_hours),
            refusal_deadline=timedelta(minutes=self.refusal_deadline_minutes),
            max_eval_loss=self.max_eval_loss,
            longest_lifetime=timedelta(hours=self.endpoint_max_lifetime_hours),
            max_run_cost=self.max_run_cost,
            max_monthly_cost=self.max_monthly_cost,
            stop_when_diverged=self.stop_when_diverged,
            resubmissions=self.job_resubmissions,
            job_poll=timedelta(seconds=self.job_poll_seconds),
            operation_poll=timedelta(seconds=self.operation_poll_seconds),
        )


def setting_fields() -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields that are environment variables, in the order of the documentation."""
    return tuple(field for field in msgspec.structs.fields(Settings) if field.name != "storage")
