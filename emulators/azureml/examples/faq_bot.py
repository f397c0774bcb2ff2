"""Fine-tunes a chat model on questions and answers in Azure Machine Learning, deploys it, and asks it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import httpx
from azure.ai.ml import Input, MLClient, dsl
from azure.ai.ml.entities import (
    AmlCompute,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.identity import DefaultAzureCredential

BASE_MODEL = "azureml://registries/azureml/models/Phi-4/versions/8"
SERVER = "mcr.microsoft.com/azureml/curated/mlflow-model-inference:21"
GPU_SIZE = "Standard_NC24ads_A100_v4"
CLUSTER = "gpu"


def conversations(answers: dict[str, str], copies: int = 4) -> str:
    """The training file: one conversation a line, each question several times."""
    rows = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in answers.items()
    ]
    return "".join(json.dumps(row) + "\n" for row in rows * copies)


class FaqBot:
    """A model that answers frequently asked questions, behind an endpoint of the same name."""

    def __init__(self, name: str, subscription: str, group: str, workspace: str) -> None:
        self.name = name
        credential = DefaultAzureCredential()
        self.client = MLClient(credential, subscription, group, workspace)
        self.registry = MLClient(credential, registry_name="azureml")

    def train(self, answers: dict[str, str]) -> str:
        """Submits a pipeline job and waits for it; returns its name."""
        cluster = AmlCompute(name=CLUSTER, size=GPU_SIZE, min_instances=0, max_instances=1)
        self.client.compute.begin_create_or_update(cluster).wait()
        component = self.registry.components.get("chat_completion_pipeline", label="latest")
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "train.jsonl"
            data.write_text(conversations(answers))

            @dsl.pipeline()
            def fine_tuning():
                step = component(
                    mlflow_model_path=Input(type="mlflow_model", path=BASE_MODEL),
                    train_file_path=Input(type="uri_file", path=str(data)),
                    compute_model_import=CLUSTER,
                    compute_preprocess=CLUSTER,
                    compute_finetune=CLUSTER,
                    number_of_gpu_to_use_finetuning=1,
                    num_train_epochs=3,
                )
                return {"mlflow_model_folder": step.outputs.mlflow_model_folder}

            job = self.client.jobs.create_or_update(fine_tuning(), experiment_name="faq-bot")
        self.client.jobs.stream(job.name)
        return str(job.name)

    def deploy(self, job: str) -> None:
        """Registers the job's model and puts it behind an endpoint."""
        path = f"azureml://jobs/{job}/outputs/mlflow_model_folder"
        model = self.client.models.create_or_update(Model(name=self.name, type="mlflow_model", path=path))
        endpoint = ManagedOnlineEndpoint(name=self.name, auth_mode="key")
        self.client.online_endpoints.begin_create_or_update(endpoint).wait()
        deployment = ManagedOnlineDeployment(
            name="main",
            endpoint_name=self.name,
            model=model.id,
            # Newer images need packages that the model's own environment does not have.
            environment=Environment(name="mlflow-server", version="21", image=SERVER),
            instance_type=GPU_SIZE,
            instance_count=1,
        )
        self.client.online_deployments.begin_create_or_update(deployment).wait()
        endpoint.traffic = {"main": 100}
        self.client.online_endpoints.begin_create_or_update(endpoint).wait()

    def ask(self, question: str) -> str:
        """The model's answer."""
        endpoint = self.client.online_endpoints.get(self.name)
        key = self.client.online_endpoints.get_keys(self.name).primary_key
        body = {"input_data": {"input_string": [[{"role": "user", "content": question}]], "parameters": {}}}
        response = httpx.post(endpoint.scoring_uri, json=body, headers={"Authorization": f"Bearer {key}"})
        response.raise_for_status()
        (answer,) = response.json()
        return str(next(iter(answer.values())))

    def delete(self) -> None:
        """Deletes the endpoint, which is what costs money."""
        self.client.online_endpoints.begin_delete(self.name).wait()
