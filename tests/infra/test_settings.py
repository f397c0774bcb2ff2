"""What the app reads is what the deployment sets, and host.json fits both."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator

import tree_sitter

import function_app
from handlers.events.advance_message import MAX_DELIVERIES
from handlers.events.job_status_changed import RUN_STATUS_CHANGED
from shared.config import DATA_CONNECTION, Settings, setting_fields
from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile, properties, string, strings, text, walk

HOST = json.loads((CHECKOUT / "host.json").read_text())


def _settings(main_bicep: BicepFile) -> dict[str, str]:
    return {name: text(node) for name, node in properties(main_bicep.variables["defaultSettings"]).items()}


def _platform_settings() -> dict[str, str]:
    app = BicepFile(INFRA / "modules" / "function-app.bicep")
    return {name: text(node) for name, node in properties(app.variables["platformSettings"]).items()}


def test_every_setting_is_set(main_bicep: BicepFile) -> None:
    """The template sets each setting that the app reads, in the same order, and no other."""
    assert list(_settings(main_bicep)) == [field.name.upper() for field in setting_fields()]


def test_constant_settings_are_the_apps_defaults(main_bicep: BicepFile) -> None:
    """Deployed and not deployed, the app behaves alike where nothing was chosen."""
    constants = {
        name: value.strip("'") for name, value in _settings(main_bicep).items() if value.startswith("'")
    }
    required = {
        "AZURE_SUBSCRIPTION_ID": "0" * 36,
        "AZURE_RESOURCE_GROUP": "group",
        "AZUREML_WORKSPACE": "workspace",
        "BASE_MODEL": "Phi-4",
        "COMPUTE_CLUSTER": "cluster",
        "COMPUTE_SIZE": "size",
        "DEPLOYMENT_INSTANCE_TYPE": "size",
        f"{DATA_CONNECTION}__blobServiceUri": "https://account.blob.example",
        f"{DATA_CONNECTION}__queueServiceUri": "https://account.queue.example",
    }
    assert Settings.from_env({**required, **constants}) == Settings.from_env(required)


def test_python_reads_no_setting_that_is_not_declared() -> None:
    """Beyond Settings, modules read only what the SDKs define for pointing at another cloud."""
    reads = set()
    for path in [
        CHECKOUT / "function_app.py",
        *CHECKOUT.glob("handlers/*.py"),
        *CHECKOUT.glob("shared/**/*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(r"environ(ment)?\.get$", ast.unparse(node.func)):
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    reads.add(name.value)
    assert reads - {field.name.upper() for field in setting_fields()} <= {
        "ARM_CLOUD_METADATA_URL",
        "AZUREML_CURRENT_CLOUD",
        "REGISTRY_DISCOVERY_ENDPOINT_URL",
        "RETAIL_PRICES_URL",
    }


def test_connections_use_the_app_identity() -> None:
    """Each connection of host.json's and the triggers' names its services and the user-assigned identity."""
    settings = _platform_settings()
    for connection, services in {
        "AzureWebJobsStorage": ("blob", "queue", "table"),
        function_app.CONNECTION: ("blob", "queue"),
    }.items():
        for service in services:
            assert settings[f"{connection}__{service}ServiceUri"].endswith(f".primaryEndpoints.{service}")
        assert settings[f"{connection}__credential"] == "'managedidentity'"
        assert settings[f"{connection}__clientId"] == "identityClientId"
    assert settings["AZURE_CLIENT_ID"] == "identityClientId"


def test_flex_consumption_refuses_none_of_the_settings() -> None:
    """Settings that Flex Consumption replaces by functionAppConfig are not set."""
    replaced = {
        *("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"),
        *("SCM_DO_BUILD_DURING_DEPLOYMENT", "ENABLE_ORYX_BUILD", "WEBSITE_TIME_ZONE"),
    }
    assert replaced.isdisjoint(_platform_settings())


def test_telemetry_reaches_application_insights() -> None:
    """Host and worker both export through OpenTelemetry, and both sign in with the app identity."""
    settings = _platform_settings()
    assert HOST["telemetryMode"] == "OpenTelemetry"
    assert settings["PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"] == "'true'"
    assert "Authorization=AAD" in settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]


def test_host_json_fits_the_blob_trigger() -> None:
    """The extension bundle has Event Grid blob triggers, and few files are read at a time."""
    assert HOST["extensionBundle"]["version"].startswith("[4.")
    assert 1 <= HOST["extensions"]["blobs"]["maxDegreeOfParallelism"] <= 4
    assert HOST["extensions"]["blobs"]["poisonBlobThreshold"] >= 2


def test_host_json_fits_the_queue_trigger() -> None:
    """A run is suspended at the very delivery after which the host gives its message up."""
    queues = HOST["extensions"]["queues"]
    assert queues["maxDequeueCount"] == MAX_DELIVERIES


def test_events_have_a_thread_each() -> None:
    """As many events at work as host.json lets in do not wait for one another."""
    tree = ast.parse((CHECKOUT / "function_app.py").read_text())
    blocking = Counter(
        decorator.func.attr.removesuffix("_trigger")
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
    )
    queues = HOST["extensions"]["queues"]
    at_work = {
        "queue": queues["batchSize"] + queues["newBatchThreshold"],
        "blob": HOST["extensions"]["blobs"]["maxDegreeOfParallelism"],
        "timer": 1,
    }
    assert set(at_work) <= set(blocking)
    most = sum(blocking[kind] * count for kind, count in at_work.items())
    threads = _platform_settings()["PYTHON_THREADPOOL_THREAD_COUNT"].strip("'")
    assert int(threads) >= most


def test_the_worker_is_configured_alike_everywhere() -> None:
    """What the template tells the worker and its exporter, the local stack tells them, too."""
    example = json.loads((CHECKOUT / "local.settings.json.example").read_text())["Values"]
    names = ("OTEL_", "AZURE_TRACING_", "PYTHON_THREADPOOL_", "PYTHON_ENABLE_INIT_")
    platform = {
        name: value.strip("'")
        for name, value in _platform_settings().items()
        if name.startswith(names) or name.endswith(("_DISABLED", "_DISABLED_ALL"))
    }
    assert platform["OTEL_TRACES_SAMPLER"] == "always_on"
    assert platform["PYTHON_ENABLE_INIT_INDEXING"] == "1", "or nothing streams before Python 3.13"
    assert platform == {name: value for name, value in example.items() if name in platform}
    own = {field.name.upper() for field in setting_fields()}
    assert {name for name in example if name not in own and not name.startswith("Azure")} == {
        *platform,
        "FUNCTIONS_WORKER_RUNTIME",
        "TrainingStorage",
    }


def test_subscription_calls_the_function_that_exists() -> None:
    """The event subscription names the blob function and lets every blob of the container through."""
    subscription = BicepFile(INFRA / "upload-subscription.bicep")
    source = subscription.source.decode()
    triggers = re.findall(
        r'function_name\("(\w+)"\)\n@app\.blob_trigger', (CHECKOUT / "function_app.py").read_text()
    )
    assert re.findall(r"param functionName string = '(\w+)'", source) == triggers
    assert list(_all_properties(subscription, "advancedFilters")) == []
    assert list(_all_properties(subscription, "subjectEndsWith")) == []
    starts = next(string(node) for node in _all_properties(subscription, "subjectBeginsWith"))
    assert starts == "/blobServices/default/containers/uploads/blobs/"


def test_job_subscription_calls_the_function_that_exists() -> None:
    """Azure ML's events go to the Event Grid function, and are of the type that it hears."""
    subscription = BicepFile(INFRA / "job-subscription.bicep")
    triggers = re.findall(
        r'function_name\("(\w+)"\)\n@app\.event_grid_trigger', (CHECKOUT / "function_app.py").read_text()
    )
    renames = BicepFile(INFRA / "upload-subscription.bicep").source.decode()
    assert [
        *re.findall(r"param functionName string = '(\w+)'", subscription.source.decode()),
        *re.findall(r"param renameFunctionName string = '(\w+)'", renames),
    ] == triggers
    assert [strings(node) for node in _all_properties(subscription, "includedEventTypes")] == [
        [RUN_STATUS_CHANGED]
    ]


def _all_properties(file: BicepFile, name: str) -> Iterator[tree_sitter.Node]:
    for node in walk(file.root):
        if node.type == "object_property" and text(node.named_children[0]) == name:
            yield node.named_children[-1]
