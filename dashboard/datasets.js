// The datasets: each with its current model, its runs, and what came of the last one.

import { datasetAddress, keepQuery, runAddress } from "./address.js";
import * as api from "./api.js";
import { h, Part } from "./dom.js";
import { count, decimal, since } from "./format.js";
import { badge } from "./run_table.js";

const SECONDS = 5;

/** The page at `#/datasets`. */
export function datasetsPage(query) {
  let known = null;
  const choice = { text: query.get("q") ?? "" };
  const search = h("input", {
    id: "search", type: "search", placeholder: "Dataset", "aria-label": "Search for a dataset", autocomplete: "off", value: choice.text,
    on: { input: (event) => { choice.text = event.target.value; keepQuery({ q: choice.text.trim() }); draw(); } },
  });
  const list = new Part(h("div", {}), drawList);
  list.element.append(...Array.from({ length: 3 }, () => h("div", { class: "ghost" })));

  function draw() {
    if (known === null) return;
    const found = known.filter(({ name }) => name.toLowerCase().includes(choice.text.trim().toLowerCase()));
    list.show({ found, any: known.length > 0, text: choice.text.trim() });
  }

  async function look() {
    const [{ runs }, models] = await Promise.all([api.runs(), api.currentModels()]);
    known = [...Map.groupBy(runs, ({ dataset }) => dataset)].filter(([name]) => name).map(([name, all]) => summary(name, all, models.get(name)));
    known.sort((one, other) => (other.newest.opened_at ?? "").localeCompare(one.newest.opened_at ?? ""));
    draw();
    return SECONDS;
  }

  const refuse = (fault) => list.show({ refused: fault.message });
  const away = (fault) => { if (known === null) refuse(fault); };
  const element = h("div", { class: "datasets" }, h("div", { class: "heading" }, h("h1", {}, "Datasets"), search), list.element);
  return { title: "Datasets", element, look, refuse, away };
}

function summary(name, runs, currentId) {
  const newest = runs.reduce((one, other) => ((other.opened_at ?? "") > (one.opened_at ?? "") ? other : one));
  const current = runs.find(({ run_id }) => run_id === currentId) ?? null;
  const brief = (entry) => entry && { run_id: entry.run_id, stage: entry.stage, opened_at: entry.opened_at, eval_loss: entry.eval_loss, base_model: entry.base_model };
  return { name, runs: runs.length, newest: brief(newest), current: brief(current) };
}

function drawList({ found, any, text, refused }) {
  if (refused) return h("p", { class: "note bad", role: "alert" }, refused);
  if (found.length === 0) {
    return h("div", { class: "card empty" }, h("p", {}, any ? `No datasets match "${text}".` : "No dataset was uploaded yet."),
      !any && h("p", {}, h("a", { class: "button primary", href: "#/upload" }, "Upload a dataset")));
  }
  const heads = ["Dataset", "Current model", "Newest run", "Runs"].map((label) => h("th", { role: "columnheader", scope: "col" }, label));
  return h("div", { class: "card flush" }, h("table", { class: "runs by-dataset", role: "table" },
    h("caption", { class: "unseen" }, "Datasets, the newest run first"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    h("tbody", { role: "rowgroup" }, found.map(row))));
}

function row({ name, runs, newest, current }) {
  return h("tr", { role: "row" },
    h("td", { role: "cell", class: "what" }, h("a", { id: `dataset-${name}`, href: datasetAddress(name) }, name)),
    h("td", { role: "cell" }, h("span", { class: "on-narrow sub" }, "Current model: "), current
      ? [badge(current.stage), " ", h("a", { class: "above", href: runAddress(current.run_id) }, current.run_id), current.eval_loss !== null && h("span", { class: "sub block" }, `evaluation loss ${decimal(current.eval_loss)}`)]
      : h("span", { class: "soft" }, "none")),
    h("td", { role: "cell" }, h("span", { class: "on-narrow sub" }, "Newest run: "), badge(newest.stage), newest.opened_at && h("span", { class: "sub" }, " ", since(newest.opened_at), " ago")),
    h("td", { role: "cell" }, `${count(runs)} `, h("span", { class: "on-narrow" }, runs === 1 ? "run" : "runs")));
}
