"""Queue functions: delivery, retries, poison, outputs, and a host that is killed in between."""

from __future__ import annotations

import json
from pathlib import Path

from azure.storage.queue import QueueClient

from local.processes import wait_until
from tests.host.conftest import SECONDS, RunningHost, StartHost, make_queue, take


def test_a_message_is_delivered_and_then_gone(work_host: RunningHost) -> None:
    """The function sees id, body, count and time; after it returned the queue is empty."""
    orders = work_host.queue("work")
    sent = orders.send_message('{"n": 1}')
    result = json.loads(take(work_host.queue("results"), 1)[0])
    assert (result["id"], result["count"], result["order"]) == (sent.id, 1, {"n": 1})
    assert result["at"].startswith("20")
    assert wait_until(lambda: orders.get_queue_properties().approximate_message_count == 0, SECONDS)


def test_a_list_becomes_one_message_each(work_host: RunningHost) -> None:
    """A list set on an output of an async function is sent element by element."""
    work_host.queue("fan").send_message("abc")
    assert sorted(take(work_host.queue("results"), 3)) == ["a", "b", "c"]


def test_outputs_are_sent_only_after_success(work_host: RunningHost) -> None:
    """An HTTP function's output arrives when it returned, not for an empty list nor after a failure."""
    with work_host.client() as client:
        assert client.post("/v1/order/fail").status_code == 500
        assert client.post("/v1/order/none").status_code == 202
        assert client.post("/v1/order/tea").status_code == 202
    assert take(work_host.queue("results"), 1) == ["tea"]


def test_a_failing_message_is_retried_and_then_poison(work_host: RunningHost) -> None:
    """After `maxDequeueCount` deliveries the message stands on the poison queue as it was sent."""
    orders = work_host.queue("work")
    orders.send_message('{"fail": true}')
    assert take(work_host.queue("work-poison"), 1) == ['{"fail": true}']
    failures = [
        record
        for record in work_host.records()
        if record["message"] == "Executed" and record["function"] == "work" and record["outcome"] == "failed"
    ]
    assert len(failures) == 2
    # Its copy stands there before it is deleted here.
    assert wait_until(lambda: orders.get_queue_properties().approximate_message_count == 0, SECONDS)


def test_a_message_that_is_not_base64_is_poison(work_host: RunningHost) -> None:
    """A message that cannot be decoded holds up no other one."""
    orders = work_host.queue("work")
    with QueueClient.from_connection_string(work_host.storage, f"{work_host.prefix}-work-poison") as poison:
        make_queue(poison)
        with QueueClient.from_connection_string(work_host.storage, f"{work_host.prefix}-work") as plain:
            plain.send_message("***")
        orders.send_message('{"n": 2}')
        assert json.loads(take(work_host.queue("results"), 1)[0])["order"] == {"n": 2}
        assert take(poison, 1) == ["***"]
    assert any(record["message"] == "Message cannot be read" for record in work_host.records())


def test_a_killed_host_loses_no_message(start_host: StartHost, tmp_path: Path) -> None:
    """A message whose host died in the middle is delivered again once its lease has run out."""
    gate = tmp_path / "gate"
    host = start_host("work", arguments=("--message-lease", "1"))
    host.queue("work").send_message(json.dumps({"wait_for": str(gate)}))
    assert wait_until(gate.with_suffix(".reached").exists, SECONDS)
    host.process.kill()
    gate.touch()
    start_host("work", prefix=host.prefix, arguments=("--message-lease", "1"))
    results = [json.loads(result) for result in take(host.queue("results"), 1)]
    assert [result["count"] for result in results] == [2]


def test_a_message_that_always_kills_its_host_is_poison(start_host: StartHost, tmp_path: Path) -> None:
    """Deliveries that never reported back count, too."""
    gate = tmp_path / "gate"
    once = {"AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "1"}
    host = start_host("work", arguments=("--message-lease", "1"), settings=once)
    host.queue("work").send_message(json.dumps({"wait_for": str(gate)}))
    assert wait_until(gate.with_suffix(".reached").exists, SECONDS)
    host.process.kill()
    second = start_host("work", prefix=host.prefix, arguments=("--message-lease", "1"), settings=once)
    assert len(take(second.queue("work-poison"), 1)) == 1


def test_a_long_invocation_keeps_its_message(start_host: StartHost, tmp_path: Path) -> None:
    """The lease is renewed while the function runs: nobody else gets the message meanwhile."""
    gate = tmp_path / "gate"
    host = start_host("work", arguments=("--message-lease", "4"))
    orders = host.queue("work")
    orders.send_message(json.dumps({"wait_for": str(gate)}))
    assert wait_until(gate.with_suffix(".reached").exists, SECONDS)
    assert not wait_until(lambda: len(list(orders.peek_messages())) > 0, 6)
    gate.touch()
    assert [json.loads(result)["count"] for result in take(host.queue("results"), 1)] == [1]
