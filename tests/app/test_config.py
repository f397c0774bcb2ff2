"""Settings: every fault in one error, and one truth in code, example and documentation."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Settings, SettingsError, setting_fields, setting_groups
from shared.domain.dataset import RowPolicy

ROOT = Path(__file__).parents[2]
EXAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
HOSTS_OWN = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "TrainingStorage"}
WORKERS_OWN = ("APPLICATIONINSIGHTS_", "AZURE_TRACING_", "OTEL_", "PYTHON_")
REQUIRED = {
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_RESOURCE_GROUP",
    "AZUREML_WORKSPACE",
    "BASE_MODEL",
    "COMPUTE_CLUSTER",
    "COMPUTE_SIZE",
    "DEPLOYMENT_INSTANCE_TYPE",
}


def read(**changes: str) -> Settings:
    """The example's settings with some of them changed."""
    return Settings.from_env({**EXAMPLE, **changes})


def problems(**changes: str) -> str:
    """What is said about the example's settings with some of them changed."""
    with pytest.raises(SettingsError) as caught:
        read(**changes)
    return caught.value.message


def described() -> dict[str, tuple[str, str]]:
    """Default and meaning of each setting, as the code has them, spelled as in an environment."""
    hints = get_type_hints(Settings, include_extras=True)
    table = {}
    for field in setting_fields():
        default = "*required*" if field.required else _spelled(_default(field))
        table[field.name.upper()] = (default, _description(hints[field.name]))
    return table


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _spelled(value: object) -> str:
    if value in (None, ()):
        return "*none*"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool | dict):
        return f"`{json.dumps(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _description(hint: object) -> str:
    assert get_origin(hint) is not None
    texts = [meta.description for meta in get_args(hint) if isinstance(meta, msgspec.Meta)]
    return next(text for text in reversed(texts) if text)


def test_the_example_holds_exactly_the_settings() -> None:
    """`local.settings.json.example` has every setting, in the code's order, and nothing unknown."""
    names = [name for name in EXAMPLE if name not in HOSTS_OWN and not name.startswith(WORKERS_OWN)]
    assert names == [field.name.upper() for field in setting_fields()]
    assert read().base_model == EXAMPLE["BASE_MODEL"]


def test_the_examples_optional_values_are_the_defaults() -> None:
    """Leaving an optional setting out is the same as the example's value, but where it says so."""
    bare = Settings.from_env({name: EXAMPLE[name] for name in (*REQUIRED, "TrainingStorage")})
    differing = {
        field.name for field in setting_fields() if getattr(bare, field.name) != getattr(read(), field.name)
    }
    assert differing == set()


def test_the_documentation_has_the_same_tables() -> None:
    """`docs/settings.md`: each group under its heading, each setting with default and meaning, in order."""
    documented: dict[str, dict[str, tuple[str, str]]] = {}
    for section in (ROOT / "docs/settings.md").read_text().split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", text, re.MULTILINE)
        if rows:
            documented[heading] = {name: (default, meaning) for name, default, meaning in rows}
    assert {heading: list(rows) for heading, rows in documented.items()} == {
        heading: [name.upper() for name in names] for heading, names in setting_groups().items()
    }
    assert {name: row for rows in documented.values() for name, row in rows.items()} == described()


def test_every_missing_setting_is_named_in_one_error() -> None:
    """An empty environment gives the whole list, storage included."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    message = caught.value.message
    assert {name for name in REQUIRED if f"{name}: is missing" in message} == REQUIRED
    assert "TrainingStorage: is missing" in message
    assert message.count("is missing") == len(REQUIRED) + 1


def test_an_empty_value_is_a_missing_one() -> None:
    """An app setting that was left blank in the portal is not the empty string."""
    assert "BASE_MODEL: is missing" in problems(BASE_MODEL="  ")
    assert read(MAX_EVAL_LOSS=" ").max_eval_loss is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_SUBSCRIPTION_ID", "my-subscription"),
        ("AZUREML_WORKSPACE", "../other"),
        ("COMPUTE_CLUSTER", "gpu/cluster"),
        ("COMPUTE_MAX_NODES", "0"),
        ("API_KEYS", "good,schl\u00fcssel"),
        ("API_KEYS", "a\nb"),
        ("DEPLOYMENT_INSTANCE_COUNT", "two"),
        ("ENDPOINT_AUTH_MODE", "none"),
        ("SCORING_DOMAIN", ".inference.ml.azure.com"),
        ("SCORING_DOMAIN", "inference.ml.azure.com."),
        ("SCORING_DOMAIN", "https://inference.ml.azure.com"),
        ("ALLOW_RETIRED_MODEL", "maybe"),
        ("ENDPOINT_LIFETIME_HOURS", "0"),
        ("ENDPOINT_LIFETIME_HOURS", "nan"),
        ("ENDPOINT_IDLE_MINUTES", "-1"),
        ("DEPLOYMENT_DEADLINE_MINUTES", "inf"),
        ("DEPLOYMENT_DEADLINE_MINUTES", "1e300"),
        ("JOB_POLL_SECONDS", "1e300"),
        ("OPERATION_POLL_SECONDS", "0"),
        ("SPLIT_PERCENTAGES", "80,20"),
        ("SPLIT_PERCENTAGES", "80,10,20"),
        ("SPLIT_PERCENTAGES", "100,0,0"),
        ("ROW_POLICY", "lenient"),
        ("MAX_DROPPED_PERCENT", "101"),
        ("FINETUNE_PARAMETERS", "{"),
        ("FINETUNE_PARAMETERS", "[]"),
        ("FINETUNE_PARAMETERS", '{"a": [1]}'),
        ("FINETUNE_PARAMETERS", '{"a": "\udcff"}'),
        ("MAX_EVAL_LOSS", "0"),
        ("SMOKE_TEST_ROWS", "21"),
        ("DATASTORE_NAME", "Finetune-Data"),
        ("ADVANCE_SCHEDULE", "* * * * *"),
        ("ENDPOINT_MAX_LIFETIME_HOURS", "1"),
        ("ENDPOINT_IDLE_MINUTES", "0.5"),
        ("MAX_INSTANCE_COUNT", "0"),
        ("MAX_EPOCHS", "0.5"),
        ("MAX_RUN_COST", "nan"),
        ("MAX_RUN_COST", "1"),
        ("ALLOWED_COMPUTES", "gpu, ../other"),
        ("ALLOWED_COMPUTES", "*"),
        ("ALLOWED_PARAMETERS", "trust_remote_code;huggingface_id"),
        ("API_KEYS", "schlüssel"),
        ("FINETUNE_PARAMETERS", '{"num_train_epochs": 1' + "0" * 300 + "}"),
        ("FINETUNE_PARAMETERS", '{"huggingface_id": "' + "x" * 300 + '"}'),
    ],
)
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    """The error says which setting, whatever is wrong with it."""
    assert f"{name}: " in problems(**{name: value})


def test_faults_of_every_kind_come_together() -> None:
    """Missing, malformed and contradictory settings are named in the same error."""
    message = problems(
        BASE_MODEL="",
        COMPUTE_MAX_NODES="many",
        SPLIT_PERCENTAGES="50,50,50",
        FINETUNE_PARAMETERS="nope",
        TrainingStorage__blobServiceUri="ftp://x",
    )
    names = ("BASE_MODEL", "COMPUTE_MAX_NODES", "SPLIT_PERCENTAGES", "FINETUNE_PARAMETERS")
    for name in (*names, "TrainingStorage__blobServiceUri"):
        assert f"{name}: " in message, name


@given(
    st.dictionaries(
        st.sampled_from([field.name.upper() for field in setting_fields()]), st.text(max_size=12), max_size=5
    )
)
def test_any_environment_gives_settings_or_an_error_that_names_names(changes: dict[str, str]) -> None:
    """What can be read can be used: rules, limits and options follow from it without an exception."""
    try:
        settings = read(**changes)
    except SettingsError as fault:
        assert any(name in fault.message for name in changes)
        return
    options = settings.default_options()
    settings.validation_rules(options, 4096)
    assert settings.limits().job_poll > timedelta(0)


def test_settings_reach_who_uses_them() -> None:
    """Shares, seed, policy and deadlines arrive where they are used, in their units."""
    settings = read(
        SPLIT_PERCENTAGES="70,20,10",
        ROW_POLICY="drop",
        IGNORE_KEYS="lang, topic",
        SENSITIVE_DATA="mask",
        CONTACT_DATA="reject",
        TRAINING_DEADLINE_HOURS="1.5",
        COMPUTE_DEADLINE_MINUTES="15",
        DEPLOYMENT_DEADLINE_MINUTES="30",
        MAX_EVAL_LOSS="2.5",
        ENDPOINT_IDLE_MINUTES="0",
    )
    options = msgspec.structs.replace(settings.default_options(), ignore_keys=("mood", "lang"))
    rules = settings.validation_rules(options, 8192)
    assert rules.ignore_keys == ("lang", "topic", "mood")
    assert (rules.sensitive_data, rules.contact_data) == ("mask", "reject")
    assert (rules.train_percent, rules.validation_percent, rules.test_percent) == (70, 20, 10)
    assert (rules.seed, rules.row_policy) == (42, RowPolicy.DROP)
    limits = settings.limits()
    assert limits.training_deadline == timedelta(minutes=90)
    assert limits.compute_deadline == timedelta(minutes=15)
    assert limits.submission_deadline == timedelta(hours=1)
    assert limits.deployment_deadline == timedelta(minutes=30)
    assert limits.max_eval_loss == 2.5
    assert settings.default_options().idle_minutes == 0


def test_storage_is_a_connection_string_or_an_identity() -> None:
    """With an identity, the addresses of the blob and the queue service are needed."""
    environment = {name: value for name, value in EXAMPLE.items() if name != "TrainingStorage"}
    address = "https://account.blob.core.windows.net"
    environment |= {"TrainingStorage__blobServiceUri": address}
    with pytest.raises(SettingsError, match="TrainingStorage__queueServiceUri: is missing"):
        Settings.from_env(environment)
    queues = {"TrainingStorage__queueServiceUri": "https://account.queue.core.windows.net"}
    settings = Settings.from_env({**environment, **queues})
    assert settings.storage.blob_service_uri == address
    assert settings.storage.connection_string is None
    assert read().storage.connection_string == "UseDevelopmentStorage=true"


def test_a_reference_that_azure_did_not_resolve_is_no_secret() -> None:
    """It stands in templates for everybody to read: it opens nothing, and signs nothing."""
    reference = "@Microsoft.KeyVault(VaultName=kv;SecretName=api-key)"
    assert read(API_KEYS=f"{reference},real").accepted_keys == ("real",)
    assert read(API_KEYS=reference).accepted_keys == ()
    said = problems(WEBHOOK_URL="https://x.example", WEBHOOK_SECRET=reference)
    assert "WEBHOOK_SECRET: is a Key Vault reference" in said
