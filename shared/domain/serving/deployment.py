"""The deployment of an endpoint, and its settings in Azure ML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

DEPLOYMENT = "main"
"""Its name."""

BASE_DEPLOYMENT = "base"
"""That of the base model, which gets no traffic."""

ALL_TRAFFIC = {DEPLOYMENT: 100}

SERVER_PORT = 5001
"""Where Azure ML's own images listen: liveness and readiness at `/`, scoring at `/score`."""

REQUEST_SECONDS = 180
"""Longest that a request may take: the most that a managed online endpoint allows."""


class Probe(NamedTuple):
    """When the platform asks whether a container is well; times in seconds."""

    initial_delay: int
    period: int
    timeout: int
    failures: int


LIVENESS = Probe(initial_delay=600, period=100, timeout=30, failures=30)
READINESS = Probe(initial_delay=60, period=30, timeout=30, failures=60)
"""Loading a language model takes minutes, and while a worker generates it answers no probe
(source: Azure's examples for the image `foundation-model-inference`, which wait as long)."""


ENVIRONMENT_NAME = "finetune-on-upload-serving"


class ServingEnvironment(NamedTuple):
    """A version of a workspace environment: an image of Azure ML's, and how to talk to its container.

    A version never changes. It is named by the digest of its content: another image is another version.
    """

    image: str

    @property
    def version(self) -> str:
        """Digest of the content."""
        content = [self.image, self.routes]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def routes(self) -> dict[str, dict[str, str | int]]:
        """Azure ML's `inferenceConfig`."""
        paths = {"livenessRoute": "/", "readinessRoute": "/", "scoringRoute": "/score"}
        return {name: {"path": path, "port": SERVER_PORT} for name, path in paths.items()}


class Deployment(NamedTuple):
    """What a strategy asks for.

    Attributes:
        environment: None has Azure ML choose the image, by the model.
        variables: Of the container's environment.
        concurrency: Requests that one instance works on at once.
    """

    environment: ServingEnvironment | None
    variables: Mapping[str, str]
    concurrency: int
