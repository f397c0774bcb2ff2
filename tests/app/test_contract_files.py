"""The promises of the ports of files, held to the fakes and to blobs in Azurite alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from azure.storage.blob import StandardBlobTier

from shared.adapters.storage.account import READ_PIECE
from shared.adapters.storage.datasets import BLOCK, BlobDatasets, BlobUploads
from shared.adapters.storage.evaluations import BlobEvaluations
from shared.adapters.storage.ignored_uploads import BlobIgnoredUploads
from shared.adapters.storage.reports import BlobReports
from shared.adapters.storage.upload_writer import BlobUploadWriter
from shared.domain.dataset import Split
from shared.domain.errors import InvalidRunError, RequestError, UploadReplacedError
from shared.domain.run.ignored import IgnoredReason, IgnoredUpload
from shared.domain.run.parts import SourceFile
from shared.domain.run.uploads import BlobKind
from shared.ports import Datasets, Evaluations, IgnoredUploads, Reports, Uploads, UploadWriter
from tests.app.builders import NOW, RUN_ID
from tests.app.conftest import OwnContainers
from tests.app.fake_storage import (
    MemoryDatasets,
    MemoryEvaluations,
    MemoryIgnoredUploads,
    MemoryReports,
    MemoryUploads,
    MemoryUploadWriter,
)


class Files(NamedTuple):
    """The ports of one kind, and what they rest on."""

    uploads: Uploads
    writer: UploadWriter
    datasets: Datasets
    reports: Reports
    evaluations: Evaluations
    ignored: IgnoredUploads
    put: Callable[[str, bytes], object]
    remove: Callable[[str], object]
    snapshots: Callable[[], dict[str, bytes]]


def _in_memory() -> Files:
    uploads, datasets = MemoryUploads(), MemoryDatasets()
    return Files(
        uploads,
        MemoryUploadWriter(uploads),
        datasets,
        MemoryReports(),
        MemoryEvaluations(),
        MemoryIgnoredUploads(),
        uploads.put,
        uploads.files.pop,
        lambda: datasets.files,
    )


def _in_blobs(service: OwnContainers) -> Files:
    dropped, snapshots = service.get_container_client("uploads"), service.get_container_client("datasets")

    def put(path: str, body: bytes) -> Any:
        return dropped.upload_blob(path, body, overwrite=True)

    def stored() -> dict[str, bytes]:
        return {blob.name: snapshots.download_blob(blob.name).readall() for blob in snapshots.list_blobs()}

    datasets = BlobDatasets(service, "finetune_datasets")
    return Files(
        BlobUploads(service),
        BlobUploadWriter(service),
        datasets,
        BlobReports(service),
        BlobEvaluations(service),
        BlobIgnoredUploads(service),
        put,
        dropped.delete_blob,
        stored,
    )


@pytest.fixture(params=["memory", "blobs"])
def files(request: pytest.FixtureRequest) -> Files:
    """Empty containers of either kind."""
    return _in_memory() if request.param == "memory" else _in_blobs(request.getfixturevalue("containers"))


def found(files: Files, path: str) -> SourceFile:
    """The version of a file that is there now."""
    blob = files.uploads.find(path)
    assert blob is not None
    return blob.file


def test_an_upload_is_found_with_its_version_and_size(files: Files) -> None:
    """Each upload of the same path is another version; a path that nobody uploaded is None."""
    assert files.uploads.find("größe 支持/train.jsonl") is None
    files.put("größe 支持/train.jsonl", b"one")
    first = files.uploads.find("größe 支持/train.jsonl")
    files.put("größe 支持/train.jsonl", b"three")
    second = files.uploads.find("größe 支持/train.jsonl")
    assert first is not None
    assert second is not None
    assert (first.size, second.size) == (3, 5)
    assert first.etag != second.etag
    assert first.modified <= second.modified
    assert (second.kind, second.archived) == (BlobKind.BLOCK, False)
    assert second.md5 == hashlib.md5(b"three").hexdigest()


def test_parts_become_a_file_all_at_once(files: Files) -> None:
    """In the order that is asked for, over an earlier file; without one of them there is none."""
    for number, content in enumerate((b"one\n", b"two\n")):
        files.writer.stage("a/train.jsonl", f"0123456789abcdef-0000{number}", content)
    assert files.uploads.find("a/train.jsonl") is None
    names = ["0123456789abcdef-00001", "0123456789abcdef-00000"]
    etag = files.writer.commit("a/train.jsonl", names)
    blob = found(files, "a/train.jsonl")
    assert (blob.etag, b"".join(files.uploads.read(blob))) == (etag, b"two\none\n")
    with pytest.raises(RequestError) as refused:
        files.writer.commit("a/test.jsonl", names)
    assert refused.value.status == 409
    files.writer.write("a/run.json", b"{}")
    for _ in range(2):
        files.writer.remove("a/run.json")
    assert files.uploads.find("a/run.json") is None


def test_uploads_are_listed_as_they_are_found(files: Files) -> None:
    """Every blob with the same facts, ETag included, in order of its path."""
    paths = ["a b#c%20.jsonl", "größe/train.jsonl", "z/y/X.JSONL"]
    for path in reversed(paths):
        files.put(path, path.encode())
    listed = list(files.uploads.every(unlisted=[]))
    assert [blob.path for blob in listed] == paths
    assert listed == [files.uploads.find(path) for path in paths]


def test_a_folder_is_listed_without_what_lies_deeper(files: Files) -> None:
    """The same facts again, and nothing of folders inside it or beside it."""
    for path in ("a/b/train.jsonl", "a/b/run.json", "a/b/c/train.jsonl", "a/b.jsonl", "a/bc/train.jsonl"):
        files.put(path, b"x")
    listed = list(files.uploads.folder("a/b/"))
    assert listed == [files.uploads.find("a/b/run.json"), files.uploads.find("a/b/train.jsonl")]


@pytest.mark.parametrize("size", [0, 1, 10_000])
def test_an_upload_is_read_as_it_is(files: Files, size: int) -> None:
    """All bytes in order; an empty file is no bytes, not an error."""
    body = bytes(index % 251 for index in range(size))
    files.put("a.jsonl", body)
    file = found(files, "a.jsonl")
    assert b"".join(files.uploads.read(file)) == body
    for offset in {0, size // 3, size}:
        assert b"".join(files.uploads.read(file, offset)) == body[offset:]
    assert files.uploads.read_small(file, 100) == body[:101]


def test_only_the_version_that_was_found_is_read(files: Files) -> None:
    """Once it was replaced or deleted, reading fails: nobody trains on half of each."""
    files.put("a.jsonl", b"one")
    file = found(files, "a.jsonl")
    files.put("a.jsonl", b"two")
    for read in (lambda: list(files.uploads.read(file)), lambda: files.uploads.read_small(file, 100)):
        with pytest.raises(UploadReplacedError, match=r"a\.jsonl"):
            read()
    files.remove("a.jsonl")
    with pytest.raises(UploadReplacedError):
        list(files.uploads.read(file))


def test_ignored_uploads_are_kept_once(files: Files) -> None:
    """As they are, whatever they are called; the first of an id stays; removing twice is removing once."""
    first = IgnoredUpload("größe/a#b.csv", '"0x1"', 3, IgnoredReason.CONVERTIBLE_FILE, NOW)
    other = first._replace(path="x" * 1024, reason=IgnoredReason.NAME_TOO_LONG)
    for upload in (first, first._replace(noticed=NOW + timedelta(hours=1)), other):
        files.ignored.add(upload)
    assert sorted(files.ignored.entries()) == [first, other]
    for _ in range(2):
        files.ignored.remove(first.id)
    assert list(files.ignored.entries()) == [other]


def test_an_archived_upload_is_seen_to_be_one(containers: OwnContainers) -> None:
    """In listings, and when it is read after all: waiting would not help, and rehydrating would."""
    files = _in_blobs(containers)
    files.put("a.jsonl", b"one")
    file = found(files, "a.jsonl")
    blob = containers.get_container_client("uploads").get_blob_client("a.jsonl")
    blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    assert [blob.archived for blob in files.uploads.every(unlisted=[])] == [True]
    assert found(files, "a.jsonl") == file
    for read in (lambda: list(files.uploads.read(file)), lambda: files.uploads.read_small(file, 100)):
        with pytest.raises(InvalidRunError, match="rehydrate it"):
            read()


def test_an_append_blob_is_seen_to_grow(containers: OwnContainers) -> None:
    """Each append is another version, which storage tells no digest of; one that is read is read whole."""
    files = _in_blobs(containers)
    blob = containers.get_container_client("uploads").get_blob_client("log.jsonl")
    blob.create_append_blob()
    versions = []
    for _ in range(2):
        blob.append_block(b"row\n")
        versions.append(found(files, "log.jsonl"))
    (listed,) = files.uploads.every(unlisted=[])
    assert (listed.kind, listed.file) == (BlobKind.APPEND, versions[1])
    assert [(file.size, file.md5) for file in versions] == [(4, None), (8, None)]
    assert b"".join(files.uploads.read(versions[1])) == b"row\n" * 2
    with pytest.raises(UploadReplacedError):
        list(files.uploads.read(versions[0]))


def test_what_is_not_committed_never_appears(files: Files) -> None:
    """A crash or a rejection leaves nothing of a snapshot to be seen."""
    with files.datasets.open_snapshot(RUN_ID) as copy:
        copy.sinks[Split.TRAIN].write(b"rows")
        assert files.snapshots() == {}
    with pytest.raises(ZeroDivisionError), files.datasets.open_snapshot(RUN_ID) as copy:
        copy.sinks[Split.TRAIN].write(b"rows")
        raise ZeroDivisionError
    assert files.snapshots() == {}


def test_a_snapshot_is_one_file_a_split(files: Files) -> None:
    """Pieces arrive in order; only the splits that are committed appear; the next copy replaces the first."""
    for word in (b"first ", b"second "):
        with files.datasets.open_snapshot(RUN_ID) as copy:
            for split in Split:
                for piece in (word, split.encode()):
                    copy.sinks[split].write(piece)
            copy.commit([Split.TRAIN, Split.TEST])
    assert files.snapshots() == {
        f"{RUN_ID}/train.jsonl": b"second train",
        f"{RUN_ID}/test.jsonl": b"second test",
    }
    uri = f"azureml://datastores/finetune_datasets/paths/{RUN_ID}/train.jsonl"
    assert files.datasets.uri(RUN_ID, Split.TRAIN) == uri


def test_a_snapshot_goes_on_in_another_process(files: Files) -> None:
    """From its state on; what the first process writes after that is not part of it; a row may come first."""
    with files.datasets.open_snapshot(RUN_ID) as first:
        first.sinks[Split.TRAIN].write(b"one ")
        state = first.state()
        first.sinks[Split.TRAIN].write(b"lost ")
        with files.datasets.open_snapshot(RUN_ID, state) as second:
            first.state()
            second.sinks[Split.TRAIN].write(b"two ")
            second.sinks[Split.TRAIN].write_first(b"zero ")
            second.commit([Split.TRAIN])
    assert files.snapshots() == {f"{RUN_ID}/train.jsonl": b"zero one two "}


def test_a_checkpoint_is_kept_until_it_is_deleted(files: Files) -> None:
    """The newest one; None before there is one and after it is deleted, which may be done twice."""
    assert files.datasets.load_checkpoint(RUN_ID) is None
    for data in (b"first", b"second"):
        files.datasets.save_checkpoint(RUN_ID, data)
    assert files.datasets.load_checkpoint(RUN_ID) == b"second"
    for _ in range(2):
        files.datasets.delete_checkpoint(RUN_ID)
    assert files.datasets.load_checkpoint(RUN_ID) is None


def test_an_evaluation_is_replaced_under_its_version(files: Files) -> None:
    """Of two writers of one version one succeeds; whatever is stored is read with the version it has."""
    assert files.evaluations.load(RUN_ID) is None
    assert files.evaluations.save(RUN_ID, b"1", None)
    assert not files.evaluations.save(RUN_ID, b"2", None)
    stored = files.evaluations.load(RUN_ID)
    assert stored is not None
    assert stored.body == b"1"
    assert files.evaluations.save(RUN_ID, b"2", stored.etag)
    assert not files.evaluations.save(RUN_ID, b"3", stored.etag)
    again = files.evaluations.load(RUN_ID)
    assert again is not None
    assert again.body == b"2"


def test_reports_are_kept_in_both_forms(files: Files) -> None:
    """JSON and page, the newest of each; None before there is one."""
    assert files.reports.load(RUN_ID, html=False) is None
    files.reports.save(RUN_ID, json=b"{}", html="<p>1")
    files.reports.save(RUN_ID, json=b'{"a":1}', html="<p>größer")
    assert files.reports.load(RUN_ID, html=False) == b'{"a":1}'
    assert files.reports.load(RUN_ID, html=True) == "<p>größer".encode()


def test_a_file_replaced_while_it_is_read_is_noticed(containers: OwnContainers) -> None:
    """Large files come in several requests, and each asks for the same version."""
    files = _in_blobs(containers)
    files.put("a.jsonl", b"1" * (2 * READ_PIECE + 1))
    file = found(files, "a.jsonl")
    stream = files.uploads.read(file)
    assert next(stream) == b"1" * READ_PIECE
    files.put("a.jsonl", b"2" * (2 * READ_PIECE + 1))
    with pytest.raises(UploadReplacedError):
        list(stream)


def test_a_large_copy_is_staged_block_by_block(containers: OwnContainers) -> None:
    """Files of many blocks arrive whole and in order, and nothing of them shows before the commit."""
    files = _in_blobs(containers)
    piece, expected = BLOCK // 3, []
    with files.datasets.open_snapshot(RUN_ID) as copy:
        for number in range(20):
            expected.append(bytes([number]) * piece)
            copy.sinks[Split.TRAIN].write(expected[-1])
        assert files.snapshots() == {}
        copy.commit([Split.TRAIN])
    assert files.snapshots() == {f"{RUN_ID}/train.jsonl": b"".join(expected)}


def test_a_name_that_cannot_be_listed_hides_no_other(containers: OwnContainers) -> None:
    """Azurite fails on every page with such a name in it; of a folder all is listed, or nothing."""
    uploads = containers.get_container_client("uploads")
    for name in (
        "aa.jsonl",
        "x\ufffe.jsonl",
        "xy.jsonl",
        "q/\ufffe/train.jsonl",
        "q/train.jsonl",
        "zz.jsonl",
    ):
        uploads.upload_blob(name, b"{}")
    unlisted: list[str] = []
    found = BlobUploads(containers).every(unlisted=unlisted)
    assert [blob.path for blob in found] == ["aa.jsonl", "xy.jsonl", "zz.jsonl"]
    assert unlisted == ["", "q", "q/", "x"]
