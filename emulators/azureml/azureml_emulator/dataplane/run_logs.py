"""Logs of runs: one line with its time for each change of status and each loss."""

from __future__ import annotations

from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response
from azureml_emulator.core.routing import Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.dataplane.history import children, find_run
from azureml_emulator.training.job_progress import node_status


def _log(state: EmulatorState, request: Request) -> Response:
    job, index = find_run(state, request["run"])
    nodes = children(state, job) if index is None else [(index, job.nodes[index], "")]
    lines = [f"[{wire_time(job.submitted)}] Job {job.name} was submitted."]
    for position, node, _ in nodes:
        status = node_status(state, job, position)
        if node.starts <= state.clock.now():
            lines.append(f"[{wire_time(node.starts)}] {node.name} started on {node.compute}.")
        for metric in job.metrics.get(node.run_id, []):
            at = node.starts + metric.share * (node.ends - node.starts)
            if metric.key in ("loss", "eval_loss") and at <= state.clock.now():
                lines.append(f"[{wire_time(at)}] step {metric.step}: {metric.key} {metric.value:.4f}")
        if status in ("Completed", "Failed"):
            reason = f": {node.error[1]}" if node.error else "."
            lines.append(f"[{wire_time(node.ends)}] {node.name} {status.lower()}{reason}")
    return Response(200, ("\n".join(lines) + "\n").encode(), {"Content-Type": "text/plain; charset=utf-8"})


# No token: the service's log addresses carry a signature of their own.
ROUTES = (Route("logs.get", "GET", "/_logs/{run}/{file}", _log, Plane.OPEN),)
