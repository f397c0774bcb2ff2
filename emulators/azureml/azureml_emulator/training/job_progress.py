"""How a job progresses.

When each node starts and ends is fixed at submission; its work is done at the first request after it
started, and its outcome shows once it has ended. A failed node ends the job.
"""

from __future__ import annotations

import threading
from datetime import datetime

from azureml_emulator.core.resources import Job, Node
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.pipeline_nodes import WorkError, perform


def advance(state: EmulatorState, job: Job) -> None:
    """Does the work of every node that has started. Only one caller works on a job; others wait for it."""
    now = state.clock.now()
    if _settled(job):
        return
    with state.lock:
        lock = state.job_locks.setdefault(job.name, threading.Lock())
    with lock:
        for node in job.nodes:
            if stopped_at(job, now) is not None or node.starts > now:
                return
            if _held_back(job, node):
                return
            if not node.done:
                _work(state, job, node)


def _held_back(job: Job, node: Node) -> bool:
    """Whether a node does not start because the job was asked to stop before."""
    return job.cancel_asked is not None and node.starts >= job.cancel_asked and not node.done


def _settled(job: Job) -> bool:
    return job.failed is not None or job.cancel_done is not None or all(node.done for node in job.nodes)


def _work(state: EmulatorState, job: Job, node: Node) -> None:
    failure = state.faults.failure_of(job.name, node.name)
    try:
        if failure is not None:
            raise WorkError(*failure)
        perform(state, job, node)
    except WorkError as error:
        node.error = (error.code, str(error))
        job.failed = node.ends
    node.done = True
    with state.lock:
        state.jobs.put(job.name, job)


def stopped_at(job: Job, now: datetime) -> datetime | None:
    """When the job failed or was canceled, if that has happened by now."""
    moments = [moment for moment in (job.failed, job.cancel_done) if moment is not None and moment <= now]
    return min(moments, default=None)


def ended_at(state: EmulatorState, job: Job) -> datetime | None:
    """When the job ended, if it has."""
    now = state.clock.now()
    stopped = stopped_at(job, now)
    if stopped is not None:
        return stopped
    end = job.nodes[-1].ends
    return end if end <= now and all(node.done for node in job.nodes) else None


def status_of(state: EmulatorState, job: Job) -> str:
    """The job's status now."""
    now = state.clock.now()
    if job.cancel_done is not None and job.cancel_done <= now:
        return "Canceled"
    if job.failed is not None and job.failed <= now:
        return "Failed"
    if ended_at(state, job) is not None:
        return "Completed"
    if job.cancel_asked is not None:
        return "CancelRequested"
    if job.properties.get("jobType") == "Command" and now < job.nodes[0].starts:
        return "Queued" if now > job.submitted else "Starting"
    # Recorded: a pipeline is Preparing for a moment, and Running while its nodes still queue.
    early = job.submitted + (job.nodes[0].starts - job.submitted) / 2
    return "Preparing" if now < early else "Running"


def node_status(state: EmulatorState, job: Job, index: int) -> str | None:
    """The status of a node's run now; None before the run exists."""
    now, node = state.clock.now(), job.nodes[index]
    stopped = stopped_at(job, now)
    if node.error is not None and node.ends <= now:
        return "Failed"
    if stopped is not None and node.starts >= stopped and not (node.done and node.ends <= stopped):
        return None
    if node.done and node.ends <= now and (stopped is None or node.ends <= stopped):
        return "Completed"
    if stopped is not None:
        return "Canceled"
    if _held_back(job, node):
        return None
    if now >= node.starts:
        return "Running"
    return "Queued" if index == 0 or now >= job.nodes[index - 1].ends else None


def find_job(state: EmulatorState, name: str) -> Job:
    """A job, brought up to this moment.

    Raises:
        ServiceError: 404.
    """
    job = state.jobs.get(name)
    if job is None:
        raise state.not_found("RunNotFound", f"Run {name} not found.")
    advance(state, job)
    return job
