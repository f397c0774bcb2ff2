"""Uploading from the page: what is dropped is checked by the app, sent in parts, and becomes a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from playwright.sync_api import Page, Route, expect

from tests.dashboard.accessibility import complaints
from tests.dashboard.conftest import PHONE, WIDE, take_picture
from tests.dashboard.scenes import SAMPLE, Scenes

DROP = """
(zone, [name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  zone.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}
"""


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_dataset_is_dropped_checked_sent_and_trained(
    size: tuple[int, int], scenes: Scenes, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """Faulty rows are named before anything is sent; good ones open a run with the options of the form."""
    page = open_page("/upload", size)
    go = page.get_by_role("button", name="Upload and train")
    expect(go).to_be_disabled()
    page.locator(".drop").evaluate(DROP, ["train.jsonl", SAMPLE.decode() + "[]\n"])
    expect(page.get_by_role("heading", name="These rows cannot be trained on")).to_be_visible()
    expect(page.locator(".first-issues li").first).to_contain_text(re.compile(r"^E\d+ line \d"))
    expect(page.locator("#upload")).to_be_disabled()
    assert complaints(page) == []
    name = f"from/page-{size[0]}"
    (tmp_path / "train.jsonl").write_bytes(SAMPLE)
    page.get_by_label("Drop files here, or choose them").set_input_files(tmp_path / "train.jsonl")
    expect(page.get_by_role("heading", name="100 rows are fine")).to_be_visible()
    expect(page.locator(".planned")).to_contain_text("It trains Phi-4, version")
    page.locator("#options summary").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Epochs").fill("40")
    expect(page.get_by_role("alert")).to_contain_text("num_train_epochs': is 40; the most is 10")
    page.get_by_label("Epochs").fill("2")
    page.get_by_label("Other training parameters").fill(f"seed={size[0]}")
    page.get_by_label("Train even if the same content").check()
    page.get_by_label("Name of the dataset").fill(name)
    expect(page.get_by_role("heading", name="100 rows are fine")).to_be_visible()
    take_picture(page, f"upload-{size[0]}")
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    go.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(name)
    run_id = page.url.rpartition("/")[2]
    run = scenes.run(run_id)
    assert run["dataset"] == name
    assert run["given_options"] == {"force": True, "parameters": {"num_train_epochs": 2, "seed": size[0]}}
    scenes.api.post(f"/api/runs/{run_id}/cancel")


def test_an_upload_that_breaks_off_starts_nothing(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """A part is tried again; who stops the upload has started nothing, and may go on."""
    page = open_page("/upload")
    page.locator(".drop").evaluate(DROP, ["broken-off.jsonl", SAMPLE.decode()])
    expect(page.get_by_role("heading", name="100 rows are fine")).to_be_visible()
    tries: list[Route] = []

    def refuse(route: Route) -> None:
        tries.append(route)
        if len(tries) == 1:
            route.fulfill(status=503, json={"detail": "busy"})

    page.route("**/api/uploads/broken-off/**", refuse)
    page.get_by_role("button", name="Upload and train").click()
    expect(page.get_by_text("Uploading: 0 %")).to_be_visible()
    with page.expect_request("**/api/uploads/broken-off/**"):
        pass
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_have_text("Stopped. Nothing was started.")
    expect(page.get_by_role("button", name="Upload and train")).to_be_enabled()
    connection = scenes.stack.blob_connection_string
    with ContainerClient.from_connection_string(connection, "uploads") as container:
        assert list(container.list_blob_names(name_starts_with="broken-off")) == []


def test_a_file_that_is_no_json_lines_is_refused_at_once(open_page: Callable[..., Page]) -> None:
    """With what to do about it."""
    page = open_page("/upload?dataset=faq")
    expect(page.get_by_label("Name of the dataset")).to_have_value("faq")
    page.locator(".drop").evaluate(DROP, ["rows.csv", "question,answer"])
    expect(page.get_by_role("alert")).to_contain_text("rows.csv is not JSON Lines")
    expect(page.locator("#upload")).to_be_disabled()
