"""The app as its handlers see it: settings, ports, and what this process keeps between requests."""

from __future__ import annotations

from dataclasses import dataclass

from shared.config import Settings
from shared.ports import Services
from shared.serving.admission import Admission
from shared.serving.canary import CanaryWatch
from shared.serving.endpoint_directory import EndpointDirectory


@dataclass(frozen=True, slots=True)
class App:
    """The app, ready to serve."""

    settings: Settings
    services: Services
    directory: EndpointDirectory
    admission: Admission
    canaries: CanaryWatch
