"""``azureml-emulator``, or ``python -m azureml_emulator``: the emulator as a process until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from azureml_emulator.core.clock import PACES, ManualClock
from azureml_emulator.core.settings import Catalogue, Settings
from azureml_emulator.core.switches import Switches
from azureml_emulator.emulator import Emulator

_EPILOGUE = """\
To use it from your own project, set the environment it prints, and change nothing else:

  azureml-emulator --port 8443 > azureml.env &      # then wait until the file has lines
  . ./azureml.env
  python your_script.py    # DefaultAzureCredential(), MLClient(...) and mlflow now talk to the emulator

The subscription, resource group and workspace are those of --subscription, --resource-group and --workspace.
AZUREML_EMULATOR_STORAGE and AZUREML_EMULATOR_EVENTS_URL stand for those options where their keys must not be
seen in a list of processes. Faults, calls and state: see /_emulator/ in the README.
"""

_PREFIX = "AZUREML_EMULATOR_"


def _arguments() -> argparse.Namespace:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="azureml-emulator",
        description="An emulator of Azure Machine Learning over HTTPS, for unmodified clients.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    add("--pace", choices=sorted(PACES), default="fast", help="how long things take (%(default)s)")
    add(
        "--storage",
        action="append",
        default=list(filter(None, [os.environ.get(f"{_PREFIX}STORAGE")])),
        metavar="ACCOUNT=CONNECTION_STRING",
        help="a storage account outside the emulator that datastores may name; may be repeated",
    )
    add("--folder", type=Path, help="keep state here between runs; in memory if not given")
    add(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="write url, ca_bundle, environment and pid here once up",
    )
    add("--catalogue", choices=[str(one) for one in Catalogue], default=str(defaults.catalogue))
    add(
        "--quota",
        action="append",
        default=[],
        metavar="FAMILY=CORES",
        help="cores of a VM family; may be repeated",
    )
    add(
        "--score-script",
        choices=["legacy", "current"],
        default=defaults.switches.score_script,
        help="how MLflow models without an environment are served (%(default)s); the README says more",
    )
    add(
        "--strict",
        action="store_true",
        help="answer 501 to query parameters, headers and body fields that the emulator does not read",
    )
    events = "post run status changes here as Event Grid events"
    add("--events-url", metavar="URL", default=os.environ.get(f"{_PREFIX}EVENTS_URL"), help=events)
    add(
        "--clock",
        choices=["system", "manual"],
        default="system",
        help="manual moves by PATCH /_emulator/state",
    )
    add("--subscription", default=defaults.subscription)
    add("--resource-group", default=defaults.resource_group)
    add("--workspace", default=defaults.workspace)
    add("--location", default=defaults.location)
    return parser.parse_args()


def _pairs(parser_name: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        name, sign, value = item.partition("=")
        if not sign:
            sys.exit(f"{parser_name} wants NAME=VALUE, not {item!r}")
        pairs[name] = value
    return pairs


def main() -> None:
    """Runs the emulator until it is interrupted or terminated."""
    arguments = _arguments()
    settings = Settings(
        subscription=arguments.subscription,
        resource_group=arguments.resource_group,
        workspace=arguments.workspace,
        location=arguments.location,
        catalogue=Catalogue(arguments.catalogue),
        storage=_pairs("--storage", arguments.storage),
        quota={family: int(cores) for family, cores in _pairs("--quota", arguments.quota).items()},
        folder=arguments.folder,
        strict=arguments.strict,
        switches=Switches(score_script=arguments.score_script),
        events_url=arguments.events_url,
    )
    clock = ManualClock() if arguments.clock == "manual" else None
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Emulator(
        pace=arguments.pace, clock=clock, host=arguments.host, port=arguments.port, settings=settings
    ) as emulator:
        ready = {
            "url": emulator.url,
            "ca_bundle": emulator.ca_bundle,
            "environment": emulator.environment,
            "pid": os.getpid(),
        }
        if arguments.ready_file:
            # Written to another file, then moved: a process that waits for it never reads half of it.
            partial = arguments.ready_file.with_suffix(".partial")
            partial.write_text(json.dumps(ready, indent=1))
            partial.replace(arguments.ready_file)
        for name, value in emulator.environment.items():
            print(f"export {name}='{value}'", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
