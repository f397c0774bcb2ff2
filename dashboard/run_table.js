// Runs as a table: each with why it ended or what it waits for, sorted by any of its columns.

import { runAddress } from "./address.js";
import { h } from "./dom.js";
import { moment, now, since, spent, spentNow, until } from "./format.js";
import { atRest, byUrgency, endSentence, isMoving, lastingOf, meaning, nameOf, PATH, progress, tone, waitingSentence } from "./stages.js";

const SOON_SECONDS = 3600;
const TEXTS = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const byText = (pick) => (one, other) => TEXTS.compare(pick(one), pick(other));
const byNumber = (pick) => (one, other) => pick(one) - pick(other);
const time = (iso) => (iso ? Date.parse(iso) : 0);

/** By what the list can be sorted; the first click sorts as `order` says. */
export const COLUMNS = [
  { id: "dataset", label: "Dataset", order: "up", compare: byText(({ dataset, run_id }) => `${dataset} ${run_id}`) },
  { id: "stage", label: "Stage", order: "up", compare: byNumber(({ stage }) => [null, ...PATH].indexOf(stage) + 1 || 99) },
  { id: "model", label: "Base model", order: "up", compare: byText(({ base_model }) => base_model ?? "") },
  { id: "cost", label: "Cost", order: "down", compare: byNumber((entry) => spentNow(entry.cost)) },
  { id: "age", label: "Age", order: "up", compare: byNumber((entry) => -time(entry.opened_at)) },
  { id: "left", label: "Time left", order: "up", compare: byNumber((entry) => (entry.stage === "live" ? time(entry.expires_at) : Number.MAX_SAFE_INTEGER)) },
];

/** Sort runs: by urgency unless a column is chosen, whose ties are by urgency, too. */
export function sorted(entries, { column, order }) {
  const chosen = COLUMNS.find(({ id }) => id === column);
  if (!chosen) return entries.sort(byUrgency);
  const sign = order === "down" ? -1 : 1;
  return entries.sort((one, other) => sign * (chosen.compare(one, other) || 0) || byUrgency(one, other));
}

/**
 * The table.
 * @param {object[]} entries in their order
 * @param {{column: string, order: string}} sort
 * @param {{choose?: (sort: object) => void, acknowledge: (entry: object) => void, current?: Set<string>, named?: string}} how
 *   `current`: runs whose model has their dataset's name; `named`: what the first column names, datasets or runs
 */
export function runTable(entries, sort, { choose, acknowledge, current = new Set(), named = "Dataset" }) {
  // The roles are spelled out because the narrow layout turns rows into blocks, which takes them away.
  return h("table", { class: "runs", role: "table" },
    h("caption", { class: "unseen" }, sort.column ? "Runs" : "Runs, the most urgent first"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, COLUMNS.map((column, at) => head(at === 0 ? { ...column, label: named } : column, sort, choose)))),
    h("tbody", { role: "rowgroup" }, entries.map((entry) => row(entry, acknowledge, current, named === "Dataset"))));
}

function head({ id, label, order: first }, { column, order }, choose) {
  const chosen = column === id;
  const next = chosen && order !== first ? { column: "", order: "" } : { column: id, order: chosen ? opposite(first) : first };
  const directions = { up: "ascending", down: "descending" };
  return h("th", { role: "columnheader", scope: "col", class: id, "aria-sort": chosen ? directions[order] : null },
    choose ? h("button", { id: `sort-${id}`, class: "sort", type: "button", on: { click: () => choose(next) } },
      label, h("span", { class: `arrow ${chosen ? order : ""}`, "aria-hidden": "true" })) : label);
}

const opposite = (order) => (order === "up" ? "down" : "up");

/** Where columns have no heads: what the list is sorted by. */
export function sortMenu({ column, order }, choose) {
  const options = COLUMNS.flatMap(({ id, label, order: first }) => [first, opposite(first)].map((way) => ({ value: `${id} ${way}`, text: `${label} ${way === "up" ? "↑" : "↓"}` })));
  const pick = (event) => {
    const [chosen = "", way = ""] = event.target.value.split(" ");
    choose({ column: chosen, order: way });
  };
  return h("select", { id: "sort", class: "sort-menu", "aria-label": "Sort by", on: { change: pick } },
    [{ value: "", text: "Most urgent first" }, ...options].map(({ value, text }) =>
      h("option", { value, selected: value === (column ? `${column} ${order}` : "") }, text)));
}

function row(entry, acknowledge, current, byDataset) {
  const reason = reasonOf(entry);
  return h("tr", { role: "row", class: entry.needs_attention ? "attention" : null },
    h("td", { role: "cell", class: "what" },
      h("a", { id: `open-${entry.run_id}`, href: runAddress(entry.run_id) }, byDataset && entry.dataset ? entry.dataset : entry.run_id),
      current.has(entry.run_id) && h("span", { class: "current-mark" }, "current"),
      byDataset && h("span", { class: "id" }, entry.run_id),
      reason && h("span", { class: `reason ${reason.tone}` }, reason.text),
      mayAcknowledge(entry) && h("button", {
        id: `acknowledge-${entry.run_id}`, class: "small", type: "button", "aria-label": `Acknowledge ${entry.run_id}`,
        title: "It needs attention no longer", on: { click: () => acknowledge(entry) },
      }, "Acknowledge")),
    h("td", { role: "cell", class: "stage" }, badge(entry.stage), track(entry.stage)),
    h("td", { role: "cell", class: "model" }, modelOf(entry.base_model)),
    h("td", { role: "cell", class: "cost" }, spent(entry.cost) ?? none("nothing yet")),
    h("td", { role: "cell", class: "age" }, h("span", { class: "on-narrow" }, "Age "), entry.opened_at ? since(entry.opened_at) : "unknown"),
    h("td", { role: "cell", class: "left" }, timeLeft(entry)));
}

/** Why a run is where it is, or null: a run that is doing well has no need to say so. */
export function reasonOf(entry) {
  const { stage, suspended, waiting_for: waiting, reason, needs_attention: needed } = entry;
  if (suspended !== null && suspended !== undefined) return { text: suspended || "Five attempts to advance it failed.", tone: "warn" };
  if (stage === null) return { text: meaning(null), tone: "bad" };
  if (needed && !atRest(stage)) return { text: /^[A-Z]\w+: /.test(reason ?? "") ? endSentence(stage, reason) : lastingOf(entry).what, tone: "warn" };
  if (reason) return { text: endSentence(stage, reason), tone: ["failed", "rejected"].includes(stage) ? "bad" : needed ? "warn" : "soft" };
  return waiting ? { text: waitingSentence(waiting), tone: "soft" } : null;
}

/** Whether a run asks for attention only because nobody took note of its end. */
export const mayAcknowledge = ({ needs_attention: needed, acknowledged, stage }) => needed && !acknowledged && atRest(stage);

function modelOf(model) {
  if (!model) return none("unknown");
  const name = model.match(/models\/([^/]+)(?:\/versions\/(.+))?$/)?.slice(1).filter(Boolean).join(":") ?? model;
  const [plain, version] = name.split(/:(?=[^:/]*$)/);
  return [plain, version && h("span", { class: "sub" }, ` ${version.length > 12 ? `${version.slice(0, 12)}…` : `v${version}`}`)];
}

function timeLeft(entry) {
  if (atRest(entry.stage) && entry.entered_at) {
    return [h("span", { class: "soft" }, `${entry.stage === "stopped" ? "stopped" : "ended"} `, since(entry.entered_at), " ago")];
  }
  if (entry.stage !== "live" || !entry.expires_at) return none("none");
  const idle = entry.due && Date.parse(entry.expires_at) - Date.parse(entry.due) > 60_000 && Date.parse(entry.due) > now();
  return [
    h("span", {}, until(entry.expires_at, SOON_SECONDS), h("span", { class: "on-narrow" }, " left")),
    idle && h("span", { class: "sub", title: moment(entry.due) }, "if idle: ", until(entry.due)),
  ];
}

const none = (words) => h("span", { class: "soft none" }, h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "unseen" }, words));

/** A stage, in its colour. */
export function badge(stage) {
  return h("span", { class: `badge ${tone(stage)}` }, h("i", { class: "dot", "aria-hidden": "true" }), nameOf(stage));
}

function track(stage) {
  if (!isMoving(stage) || stage === "deleting") return null;
  const done = Math.round(progress(stage) * 6);
  return h("span", { class: "track", "aria-hidden": "true" }, Array.from({ length: 6 }, (_, at) => h("i", { class: at < done ? "done" : at === done ? "at" : null })));
}
