// All runs: first those that need attention, then in progress, live with their remaining time, ended.

import { keepQuery } from "./address.js";
import * as api from "./api.js";
import { codeBlock } from "./copy.js";
import { announce, h, Part } from "./dom.js";
import { BLANK, count, until } from "./format.js";
import { drawIgnored } from "./ignored_uploads.js";
import { COLUMNS, runTable, sorted, sortMenu } from "./run_table.js";
import { atRest, isMoving, nameOf } from "./stages.js";

const MOVING_SECONDS = 2;
const RESTING_SECONDS = 5;
const ROWS = 100; // at once; a button shows more

// A run may be in several: a live one that is suspended needs attention, and is live.
const GROUPS = [
  { id: "attention", label: "Need attention", none: "No run needs attention", has: (entry) => entry.needs_attention },
  { id: "moving", label: "In progress", none: "No run is in progress", has: ({ stage }) => isMoving(stage) },
  { id: "live", label: "Live", none: "No endpoint is live", has: ({ stage }) => stage === "live" },
  { id: "ended", label: "Ended", none: "No run has ended yet", has: ({ stage }) => atRest(stage) },
];

/** The page at `#/`, as the query of its address filters and sorts it. */
export function overview(query, refresh) {
  const choice = choiceOf(query);
  let known = null;
  let slots = null;
  let current = new Set();
  const search = h("input", {
    id: "search", type: "search", placeholder: "Dataset, run, stage, reason …", "aria-label": "Search for a dataset or a run", autocomplete: "off", value: choice.text,
    on: { input: (event) => choose({ text: event.target.value, rows: ROWS }) },
  });
  const tiles = new Part(h("div", { class: "tiles", role: "group", "aria-label": "Show only" }), (state) => state.map(tile));
  const menu = new Part(h("div", { class: "sort-by on-narrow-block" }), (sort) => sortMenu(sort, choose));
  const list = new Part(h("div", { class: "list", "aria-busy": "true" }), drawList);
  const ignored = new Part(h("div", {}), drawIgnored);
  const stages = new Map();

  function choose(chosen) {
    Object.assign(choice, chosen);
    keepQuery({ show: choice.group, q: choice.text.trim(), sort: choice.column, order: choice.order });
    draw();
  }

  function tile({ group, size, pressed, detail }) {
    return h("button", {
      id: `tile-${group.id}`, class: `tile ${group.id} ${size ? "some" : "none"}`, type: "button",
      "aria-pressed": String(pressed), on: { click: () => choose({ group: pressed ? "" : group.id, rows: ROWS }) },
    },
    h("span", { class: "tile-name" }, group.label),
    h("strong", {}, count(size)),
    detail.map((line) => h("span", { class: "tile-detail" }, line)),
    h("span", { class: "tile-act", "aria-hidden": "true" }, pressed ? "Show all" : "Show"));
  }

  function draw() {
    if (known === null) return;
    tiles.show(GROUPS.map((group) => {
      const entries = known.runs.filter(group.has);
      return { group, size: entries.length, pressed: choice.group === group.id, detail: detailOf(group, entries, slots) };
    }));
    const sort = { column: choice.column, order: choice.order };
    const shown = sorted(known.runs.filter((entry) => inGroup(entry, choice.group) && matches(entry, choice.text)), sort);
    menu.show(sort);
    list.element.removeAttribute("aria-busy");
    list.show({ entries: shown.slice(0, choice.rows), current: [...current], sort, hidden: shown.length - choice.rows, any: known.runs.length > 0, more: known.more });
  }

  function drawList({ entries, sort, hidden, any, more, refused }) {
    if (refused) return h("p", { class: "note bad", role: "alert" }, refused);
    if (!any) return emptyStore();
    if (entries.length === 0) {
      return h("div", { class: "card empty" },
        h("p", {}, choice.text.trim() ? `No runs match "${choice.text.trim()}".` : "No runs in this group."),
        h("button", { id: "show-all", type: "button", on: { click: showAll } }, "Show all runs"));
    }
    return [
      h("div", { class: "card flush" }, runTable(entries, sort, { choose, acknowledge, current })),
      hidden > 0 && h("button", { id: "more-rows", class: "wide", type: "button", on: { click: () => { choice.rows += ROWS; draw(); } } },
        `Show more (${count(hidden)} left)`),
      more && h("p", { class: "hint" }, "Only the first 5,000 runs are listed; the API has them all."),
    ];
  }

  function showAll() {
    search.value = "";
    choose({ text: "", group: "" });
    search.focus();
  }

  async function acknowledge(entry) {
    try {
      await api.acknowledge(entry.run_id);
      announce(`${entry.dataset} is acknowledged.`);
    } catch (fault) {
      list.show({ refused: fault.message });
    }
    await refresh();
  }

  let looked = false; // rows of the first load are not announced

  async function look() {
    const [runs, uploads] = await Promise.all([api.runs(), api.ignoredUploads()]);
    // Runs take and give back slots and names, so that there is nothing new to ask while the list is the same.
    if (known?.runs.length !== runs.runs.length || known.runs.some((entry, at) => entry !== runs.runs[at])) {
      const [models, taken] = await Promise.all([api.currentModels().catch(() => new Map()), api.slots().catch(() => null)]);
      [current, slots] = [new Set(models.values()), taken];
    }
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
    h("div", { class: "heading" }, h("h1", {}, "Runs"), menu.element, search), tiles.element, list.element, ignored.element);
  const refuse = (fault) => {
    if (known === null) tiles.show([]);
    list.element.removeAttribute("aria-busy");
    list.show({ refused: fault.message });
  };
  const away = (fault) => { if (known === null) refuse(fault); };
  return { title: "Runs", element, look, refuse, away };
}

function choiceOf(query) {
  const known = (value, all) => (all.some(({ id }) => id === value) ? value : "");
  const column = known(query.get("sort"), COLUMNS);
  const order = ["up", "down"].includes(query.get("order")) ? query.get("order") : "up";
  return { group: known(query.get("show"), GROUPS), text: query.get("q") ?? "", column, order: column && order, rows: ROWS };
}

const inGroup = (entry, id) => !id || GROUPS.find((group) => group.id === id).has(entry);

/** Whether every word is found in what the row says, its stage included. */
function matches({ dataset, run_id, stage, reason, waiting_for: waiting, base_model: model, suspended }, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const said = [dataset, run_id, nameOf(stage), reason, waiting && `waiting for ${waiting}`, model, suspended !== null && `suspended ${suspended}`];
  const all = said.filter(Boolean).join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

function detailOf(group, entries, slots) {
  const taken = slots && slotsOf(group.id, slots);
  if (entries.length === 0) return [group.none, taken].filter(Boolean);
  if (group.id === "live") return [`next teardown in ${soonest(entries)}`, taken].filter(Boolean);
  const kinds = Object.entries(Object.groupBy(entries, (entry) => (entry.suspended === null ? nameOf(entry.stage) : "suspended")));
  const stages = kinds.map(([stage, all]) => `${count(all.length)}${BLANK}${stage}`).join(", ");
  return [stages, taken].filter(Boolean);
}

function slotsOf(group, { training, endpoint }) {
  if (group === "moving" && training.limit) return slotLine(training, "training slots");
  if (group === "live" && endpoint.limit) return slotLine(endpoint, "endpoint slots");
  return null;
}

const slotLine = ({ in_use: used, limit, waiting }, name) =>
  `${used} of ${limit} ${name} in use${waiting ? `, ${waiting} ${waiting === 1 ? "waits" : "wait"}` : ""}`;

function soonest(entries) {
  const first = entries.map((entry) => entry.expires_at).sort()[0];
  return until(first).textContent;
}

function emptyStore() {
  return h("div", { class: "card empty" },
    h("h2", {}, "No runs yet"),
    h("p", {}, "A run fine-tunes a model on a chat dataset, one conversation a line, and puts it behind an endpoint."),
    h("p", {}, h("a", { class: "button primary", href: "#/upload" }, "Upload a dataset")),
    h("p", { class: "hint" }, "Or in the terminal:"),
    codeBlock("bin/finetune upload local/samples/ultrachat-sample.jsonl", "command"));
}
