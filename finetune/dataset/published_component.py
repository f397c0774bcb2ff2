"""The training component's inputs as they were published on a date: for checks on a machine without Azure.

The app checks a run's parameters against the version that its registry has; this copy may be older or newer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.domain.errors import InvalidRunError
from shared.domain.training.combinations import check_combination
from shared.domain.training.component import parse_component, plan_parameters

COPY = Path(__file__).with_suffix(".json")


def faults_of_parameters(chosen: Mapping[str, Any]) -> str | None:
    """What the component would not take of a run's parameters, by the copy that the text names; or None.

    Args:
        chosen: The parameters that the run itself gives: the app's settings are not known here.
    """
    document = json.loads(COPY.read_text())
    body = {"id": document["name"], "name": document["version"], "properties": {"componentSpec": document}}
    component = parse_component(body)
    try:
        planned = plan_parameters(component, {}, chosen)
        check_combination({name: value for name, value in planned.items() if name in chosen})
    except InvalidRunError as fault:
        copy = f"{document['name']} {document['version']} as published on {document['copied']}"
        return f"{fault.message} (by {copy}; the app checks it against the version of its registry)"
    return None
