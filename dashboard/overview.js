// All runs: first those that need attention, then in progress, live with their remaining time, ended.

import * as api from "./api.js";
import { announce, h, Part } from "./dom.js";
import { BLANK, count, now, since, until } from "./format.js";
import { drawIgnored } from "./ignored_uploads.js";
import { byUrgency, groupOf, isMoving, lastingOf, meaning, nameOf, progress, tone } from "./stages.js";

const MOVING_SECONDS = 2;
const RESTING_SECONDS = 5;
const ROWS = 100; // at once; a button shows more
const SOON_SECONDS = 3600;

const GROUPS = [
  { id: "attention", label: "Need attention", none: "No run needs attention" },
  { id: "moving", label: "In progress", none: "No run is in progress" },
  { id: "live", label: "Live", none: "No endpoint is live" },
  { id: "ended", label: "Ended", none: "No run has ended yet" },
];

/** The page at `#/`. */
export function overview() {
  const choice = { group: null, text: "", rows: ROWS };
  let known = null;
  const search = h("input", {
    id: "search", type: "search", placeholder: "Dataset or run", "aria-label": "Search for a dataset or a run", autocomplete: "off",
    on: { input: (event) => { choice.text = event.target.value.trim().toLowerCase(); draw(); } },
  });
  const tiles = new Part(h("div", { class: "tiles", role: "group", "aria-label": "Show only" }), (state) => state.map(tile));
  const list = new Part(h("div", { class: "list", "aria-busy": "true" }), drawList);
  const ignored = new Part(h("div", {}), drawIgnored);
  const stages = new Map();

  function tile({ group, size, pressed, detail }) {
    const press = () => { choice.group = choice.group === group.id ? null : group.id; choice.rows = ROWS; draw(); };
    return h("button", {
      id: `tile-${group.id}`, class: `tile ${group.id} ${size ? "some" : "none"}`, type: "button",
      "aria-pressed": String(pressed), on: { click: press },
    }, h("span", { class: "tile-name" }, group.label), h("strong", {}, count(size)), h("span", { class: "tile-detail" }, detail));
  }

  function draw() {
    if (known === null) return;
    const groups = Object.groupBy(known.runs, groupOf);
    tiles.show(GROUPS.map((group) => {
      const entries = groups[group.id] ?? [];
      return { group, size: entries.length, pressed: choice.group === group.id, detail: detailOf(group, entries) };
    }));
    const shown = known.runs
      .filter((entry) => choice.group === null || groupOf(entry) === choice.group)
      .filter((entry) => `${entry.dataset} ${entry.run_id}`.toLowerCase().includes(choice.text))
      .sort(byUrgency);
    list.element.removeAttribute("aria-busy");
    list.show({ entries: shown.slice(0, choice.rows), hidden: shown.length - choice.rows, any: known.runs.length > 0, more: known.more });
  }

  function drawList({ entries, hidden, any, more, refused }) {
    if (refused) return h("p", { class: "note bad", role: "alert" }, refused);
    if (!any) return emptyStore();
    if (entries.length === 0) return h("p", { class: "empty" }, choice.text ? `No runs match "${choice.text}".` : "No runs in this group.");
    return [
      h("div", { class: "card flush" }, table(entries)),
      hidden > 0 && h("button", { id: "more-rows", class: "wide", type: "button", on: { click: () => { choice.rows += ROWS; draw(); } } },
        `Show more (${count(hidden)} left)`),
      more && h("p", { class: "hint" }, "Only the first 5,000 runs are listed; the API has them all."),
    ];
  }

  let looked = false; // rows of the first load are not announced

  async function look() {
    const [runs, uploads] = await Promise.all([api.runs(), api.ignoredUploads()]);
    known = runs;
    ignored.show(uploads);
    known.runs.forEach(tellChange);
    looked = true;
    draw();
    return known.runs.some((entry) => isMoving(entry.stage)) ? MOVING_SECONDS : RESTING_SECONDS;
  }

  function tellChange(entry) {
    const before = stages.get(entry.run_id);
    if (looked && before !== entry.stage) announce(`${entry.dataset} is ${nameOf(entry.stage)}`);
    stages.set(entry.run_id, entry.stage);
  }

  tiles.element.append(...GROUPS.map(() => h("div", { class: "ghost" })));
  list.element.append(...Array.from({ length: 4 }, () => h("div", { class: "ghost" })));
  const element = h("div", { class: "overview" },
    h("div", { class: "heading" }, h("h1", {}, "Runs"), search), tiles.element, list.element, ignored.element);
  const refuse = (fault) => {
    if (known === null) tiles.show([]);
    list.element.removeAttribute("aria-busy");
    list.show({ refused: fault.message });
  };
  return { title: "Runs", element, look, refuse };
}

function detailOf(group, entries) {
  if (entries.length === 0) return group.none;
  if (group.id === "attention") return entries.length === 1 ? "This run needs a person" : "These runs need a person";
  if (group.id === "live") return ["next teardown in ", soonest(entries)].join("");
  const stages = Object.entries(Object.groupBy(entries, (entry) => nameOf(entry.stage)));
  return stages.map(([stage, all]) => `${count(all.length)}${BLANK}${stage}`).join(", ");
}

function soonest(entries) {
  const first = entries.map((entry) => entry.expires_at).sort()[0];
  return until(first).textContent;
}

function table(entries) {
  // The roles are spelled out because the narrow layout turns rows into blocks, which takes them away.
  const heads = ["Dataset", "Stage", "Age", "Time left"].map((text) => h("th", { role: "columnheader", scope: "col" }, text));
  return h("table", { class: "runs", role: "table" },
    h("caption", { class: "unseen" }, "Runs, the most urgent first"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    h("tbody", { role: "rowgroup" }, entries.map(row)));
}

function row(entry) {
  const reason = entry.suspended ?? (entry.stage === null ? meaning(null) : lastingOf(entry)?.what ?? (entry.waiting_for && `Waiting for ${entry.waiting_for}`));
  return h("tr", { role: "row", class: entry.needs_attention ? "attention" : null },
    h("td", { role: "cell", class: "what" },
      h("a", { id: `open-${entry.run_id}`, href: `#/runs/${encodeURIComponent(entry.run_id)}` }, entry.dataset || entry.run_id),
      h("span", { class: "id" }, entry.run_id),
      reason && h("span", { class: "reason" }, reason)),
    h("td", { role: "cell", class: "where" }, badge(entry.stage), track(entry.stage)),
    h("td", { role: "cell", class: "age" }, h("span", { class: "on-narrow" }, "Age "), entry.opened_at ? since(entry.opened_at) : "unknown"),
    h("td", { role: "cell", class: "left" }, timeLeft(entry)));
}

function timeLeft(entry) {
  if (entry.stage !== "live" || !entry.expires_at) return h("span", { class: "soft" }, h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "unseen" }, "none"));
  const idle = entry.due && Date.parse(entry.expires_at) - Date.parse(entry.due) > 60_000 && Date.parse(entry.due) > now();
  return [
    h("span", {}, until(entry.expires_at, SOON_SECONDS), h("span", { class: "on-narrow" }, " left")),
    idle && h("span", { class: "sub" }, "idle check in ", until(entry.due)),
  ];
}

/** A stage, in its colour. */
export function badge(stage) {
  return h("span", { class: `badge ${tone(stage)}` }, h("i", { class: "dot", "aria-hidden": "true" }), nameOf(stage));
}

function track(stage) {
  if (!isMoving(stage) || stage === "deleting") return null;
  const done = Math.round(progress(stage) * 6);
  return h("span", { class: "track", "aria-hidden": "true" }, Array.from({ length: 6 }, (_, at) => h("i", { class: at < done ? "done" : at === done ? "at" : null })));
}

function emptyStore() {
  return h("div", { class: "card empty" },
    h("h2", {}, "No runs yet"),
    h("p", {}, "Upload a chat dataset, one conversation a line, to the ", h("code", {}, "uploads"), " container. The run appears here a moment later."),
    h("pre", {}, "bin/finetune upload local/samples/ultrachat-sample.jsonl"));
}
