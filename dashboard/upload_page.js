// Uploading a dataset: chosen or dropped, checked by the app, sent with progress, and followed to its run.

import { runAddress } from "./address.js";
import * as api from "./api.js";
import { announce, h, Part } from "./dom.js";
import { bytes } from "./format.js";
import { drawIgnored } from "./ignored_uploads.js";
import { datasetOf, endingOf, headOf, sendFiles } from "./upload_file.js";
import { optionsForm } from "./upload_options.js";
import { drawOutcome } from "./upload_outcome.js";

const SECONDS = 10;
const OPENING_MS = 1000;
const LOOKS = 60; // for the run to open

/** The page at `#/upload`; the query may name the dataset. */
export function uploadPage(query) {
  const files = { train: null, validation: null, test: null };
  let state = {}; // what stands below the form, see `drawOutcome`
  let sending = null;
  let asked = 0; // which check is the newest
  const name = h("input", { id: "dataset-name", maxlength: 128, autocomplete: "off", spellcheck: "false", value: query.get("dataset") ?? "", placeholder: "support-chat", required: true });
  const options = optionsForm(() => check());
  const chosen = new Part(h("ul", { class: "chosen" }), drawChosen);
  const outcome = new Part(h("div", { class: "outcome", "aria-live": "polite" }), drawOutcome);
  const ignored = new Part(h("div", {}), drawIgnored);
  const go = h("button", { id: "upload", class: "primary", type: "submit" }, "Upload and train");
  const stop = h("button", { id: "stop-upload", type: "button", on: { click: () => sending?.abort() } }, "Stop");
  const form = h("form", { class: "upload", on: { submit: (event) => { event.preventDefault(); submit(); } } },
    h("section", { class: "card" }, h("h2", {}, "Dataset"), dropZone(take), chosen.element,
      h("div", { class: "fields" }, h("label", { for: "dataset-name" }, "Name of the dataset"), name,
        h("p", { class: "hint" }, "Under a name that there is already, a new run trains a new version of its model."))),
    h("section", { class: "card" }, options.element),
    outcome.element,
    h("div", { class: "choices start" }, go, stop));
  const element = h("div", { class: "upload-page" }, h("div", { class: "heading" }, h("h1", {}, "Upload a dataset")), form, ignored.element);

  function take(list) {
    const all = [...list];
    for (const file of all) files[roleOf(file.name, all.length)] = file;
    if (files.train && !name.value) name.value = datasetOf(files.train.name).replace(/^(train|data)$/i, "");
    check();
  }

  function problem() {
    if (files.train === null) return "Choose the file to train with.";
    const all = Object.values(files).filter(Boolean);
    const wrong = all.find((file) => endingOf(file.name) === null);
    if (wrong) return `${wrong.name} is not JSON Lines: its name has to end in .jsonl, .jsonl.gz or .jsonl.zst. "finetune upload" converts .csv, .json and .parquet.`;
    const empty = all.find((file) => file.size === 0);
    return empty ? `${empty.name} is empty.` : null;
  }

  async function check() {
    if (sending) return;
    const mine = (asked += 1);
    if (files.train === null) return show({});
    if (problem()) return show({ failed: problem() });
    show({ checking: true });
    try {
      const given = options.value();
      const head = await headOf(files.train);
      const [rows, plan] = await Promise.all([head && api.checkRows(head.rows, given.row_policy ?? "strict"), api.preflight(given)]);
      if (mine === asked) show({ rows, plan, partial: head?.partial, unread: head === null });
    } catch (fault) {
      if (mine === asked) show({ failed: fault.message });
    }
  }

  async function submit() {
    asked += 1;
    sending = new AbortController();
    show({ sent: 0 });
    try {
      const given = options.value();
      const dataset = name.value.trim();
      const named = Object.entries(files).filter(([, file]) => file).map(([role, file]) => ({ name: `${role}${endingOf(file.name)}`, file }));
      const made = await sendFiles(dataset, named, (share) => show({ sent: share }), sending.signal);
      const { run_id: id } = await api.completeUpload(dataset, made, given);
      announce(`${dataset} is uploaded.`);
      show({ opening: id });
      await opened(id);
      location.hash = runAddress(id);
    } catch (fault) {
      show({ failed: sending.signal.aborted ? "Stopped. Nothing was started." : fault.message });
    } finally {
      sending = null;
      draw();
    }
  }

  async function opened(id) {
    for (let look = 0; look < LOOKS; look += 1) {
      const found = await api.run(id).catch((fault) => {
        if (fault.status !== 404) throw fault;
      });
      if (found) return;
      await new Promise((resolve) => setTimeout(resolve, OPENING_MS));
    }
  }

  function show(next) {
    state = next;
    draw();
  }

  function draw() {
    const all = Object.entries(files).filter(([, file]) => file);
    chosen.show(all.map(([role, file]) => ({ role, name: file.name, size: file.size })));
    outcome.show(state);
    const refused = state.rows?.verdict === "rejected";
    go.disabled = sending !== null || state.checking === true || refused || problem() !== null;
    go.textContent = refused ? "The rows have to be mended first" : "Upload and train";
    stop.hidden = sending === null || state.opening !== undefined;
  }

  function drawChosen(all) {
    const remove = (role) => {
      files[role] = null;
      check();
    };
    return all.map(({ role, name: file, size }) => h("li", {}, h("b", {}, role), ` ${file} `, h("span", { class: "sub" }, bytes(size)), " ",
      h("button", { id: `remove-${role}`, class: "quiet", type: "button", "aria-label": `Remove ${file}`, on: { click: () => remove(role) } }, "Remove")));
  }

  async function look() {
    ignored.show(await api.ignoredUploads());
    return SECONDS;
  }

  draw();
  return { title: "Upload", element, look, refuse: (fault) => show({ failed: fault.message }) };
}

/** What a file is for, by its name; a file that comes alone is for training. */
function roleOf(name, together) {
  const stem = datasetOf(name).toLowerCase();
  const role = ["validation", "test"].find((one) => stem === one || (together > 1 && (stem.endsWith(`-${one}`) || stem.endsWith(`_${one}`))));
  return role ?? "train";
}

function dropZone(take) {
  const picker = h("input", { id: "files", type: "file", multiple: true, class: "unseen", accept: ".jsonl,.ndjson,.gz,.zst", "aria-describedby": "files-hint", on: { change: () => { take(picker.files); picker.value = ""; } } });
  const zone = h("div", { class: "drop" },
    h("label", { for: "files" }, "Drop files here, or choose them"), picker,
    h("p", { class: "hint", id: "files-hint" }, "JSON Lines, one conversation a line: .jsonl, .jsonl.gz or .jsonl.zst. Files called validation and test are used as such; without them, the app splits the rows."));
  const mark = (over) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", over);
  };
  zone.addEventListener("dragover", mark(true));
  zone.addEventListener("dragleave", mark(false));
  zone.addEventListener("drop", (event) => {
    mark(false)(event);
    take(event.dataTransfer.files);
  });
  zone.addEventListener("click", (event) => { if (event.target === zone) picker.click(); });
  return zone;
}
