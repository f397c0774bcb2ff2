"""Routes about datasets and the models that their names mean."""

from __future__ import annotations

from handlers.http.dataset_views import DatasetView
from handlers.http.datasets import PromotionRequest, RollbackRequest, promote_run, roll_back, show_dataset
from handlers.http.list_datasets import DatasetsView, list_datasets
from handlers.http.requests import read_object
from handlers.http.route import Content, Route, Success
from handlers.http.routes.answers import BUSY

DATASETS = (
    Route(
        function="list_datasets",
        method="GET",
        path="datasets",
        handle=lambda _request, app: list_datasets(app().services),
        summary="List current models",
        description="Of each dataset that has a model, the run that its name means now.",
        tag="datasets",
        successes={200: Success("The datasets.", (Content((DatasetsView,)),))},
        errors=BUSY,
    ),
    Route(
        function="get_dataset",
        method="GET",
        path="datasets/{name}",
        handle=lambda request, app: show_dataset(request.path["name"], app().services),
        summary="Show a dataset's current model",
        description="What its name means in the OpenAI API, and the history of that. A slash in the name is "
        "written as `%2F`.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(404, 409, *BUSY),
    ),
    Route(
        function="promote_model",
        method="POST",
        path="datasets/{name}/promote",
        handle=lambda request, app: promote_run(
            request.path["name"],
            read_object(request.body),
            services=app().services,
            directory=app().directory,
        ),
        summary="Promote a model",
        description="A run's model becomes what the dataset's name means. Repeating it changes nothing.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(400, 404, 409, 413, *BUSY),
        request=Content((PromotionRequest,)),
    ),
    Route(
        function="roll_back_model",
        method="POST",
        path="datasets/{name}/rollback",
        handle=lambda request, app: roll_back(
            request.path["name"],
            read_object(request.body or b"{}"),
            services=app().services,
            directory=app().directory,
        ),
        summary="Go back to the model before",
        description="The dataset's name means the model that had it before the current one.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(400, 404, 409, 413, *BUSY),
        request=Content((RollbackRequest,)),
        body_optional=True,
    ),
)
