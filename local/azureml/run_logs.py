"""Logs of runs: one line for each change of state and each loss, with its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.azureml.clock import wire_time
from local.azureml.history import children, find_run
from local.azureml.job_progress import node_status
from local.azureml.wire import Answer, Call, Evidence, Plane, Route

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud


def _log(cloud: Cloud, call: Call) -> Answer:
    job, index = find_run(cloud, call["run"])
    nodes = children(cloud, job) if index is None else [(index, job.nodes[index], "")]
    lines = [f"[{wire_time(job.submitted)}] Job {job.name} was submitted."]
    for position, node, _ in nodes:
        state = node_status(cloud, job, position)
        if node.starts <= cloud.clock.now():
            lines.append(f"[{wire_time(node.starts)}] {node.name} started on {node.compute}.")
        for metric in job.metrics.get(node.run_id, []):
            at = node.starts + metric.share * (node.ends - node.starts)
            if metric.key in ("loss", "eval_loss") and at <= cloud.clock.now():
                lines.append(f"[{wire_time(at)}] step {metric.step}: {metric.key} {metric.value:.4f}")
        if state in ("Completed", "Failed"):
            reason = f": {node.error[1]}" if node.error else "."
            lines.append(f"[{wire_time(node.ends)}] {node.name} {state.lower()}{reason}")
    return Answer(200, ("\n".join(lines) + "\n").encode(), {"Content-Type": "text/plain; charset=utf-8"})


# No token: the service's log addresses carry a signature of their own.
ROUTES = (Route("logs.get", "GET", "/_logs/{run}/{file}", _log, Plane.OPEN, Evidence.DRIVEN),)
