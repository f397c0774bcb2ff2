"""The app that one would write first: the SDK imported and its client built when the module is loaded."""

import os

import azure.functions as func
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE"],
)
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="runs", methods=["GET"])
def list_runs(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the worker passes it by name
    """The smallest answer there is."""
    return func.HttpResponse("[]", mimetype="application/json")


@app.queue_trigger(arg_name="message", queue_name="advance", connection="TrainingStorage")
def advance_run(message: func.QueueMessage) -> None:
    """Look at a job."""
    client.jobs.get(message.get_body().decode())
