"""Azurite runs from this checkout, answers the real SDKs, and leaves no process behind."""

import os
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import Azurite
from local.processes import ChildProcess, ProcessError, wait_until


def test_blobs_and_queues_answer(azurite: Azurite) -> None:
    """Both SDKs reach the emulator with its connection string alone."""
    with (
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
        QueueServiceClient.from_connection_string(azurite.connection_string) as queues,
    ):
        container = blobs.create_container("answers")
        container.upload_blob("greeting.txt", b"hello")
        assert container.download_blob("greeting.txt").readall() == b"hello"
        queue = queues.create_queue("answers")
        queue.send_message("hello")
        assert [message.content for message in queue.receive_messages()] == ["hello"]


def test_a_folder_keeps_blobs_over_a_restart(tmp_path: Path) -> None:
    """With a folder, what one start stored the next one serves."""
    with (
        Azurite(tmp_path) as first,
        BlobServiceClient.from_connection_string(first.connection_string) as blobs,
    ):
        blobs.create_container("kept").upload_blob("greeting.txt", b"hello")
    with (
        Azurite(tmp_path) as second,
        BlobServiceClient.from_connection_string(second.connection_string) as blobs,
    ):
        kept = blobs.get_blob_client("kept", "greeting.txt")
        assert kept.download_blob().readall() == b"hello"


def test_stopping_leaves_no_process() -> None:
    """After the context is left, the process id is free."""
    with Azurite() as running:
        os.kill(running.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
    assert not running.alive


def test_a_process_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    """A child that dies before it is ready is reported with what it last wrote."""
    child = ChildProcess("Example", ["sh", "-c", "echo out of disk; exit 3"], tmp_path / "example.log")
    with child, pytest.raises(ProcessError, match=r"(?s)ended with code 3 .*out of disk"):
        child.wait_ready(lambda: False, 10)


def test_stopping_a_process_also_ends_its_children(tmp_path: Path) -> None:
    """A grandchild started in the background does not outlive the child."""
    script = "sleep 600 & echo $!; wait"
    with ChildProcess("Example", ["sh", "-c", script], tmp_path / "example.log") as child:
        child.wait_ready(lambda: child.output().endswith("\n"), 10)
        grandchild = int(child.output())
    assert wait_until(lambda: not _runs(grandchild), 30)


def _runs(pid: int) -> bool:
    """Whether a process is there and not just waiting to be collected."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
