// One dataset: its current model and how it came to be, the trend of its runs, and the runs.

import { runAddress } from "./address.js";
import * as api from "./api.js";
import { confirm } from "./actions.js";
import { announce, h, Part } from "./dom.js";
import { decimal, moment } from "./format.js";
import { badge, runTable, sorted } from "./run_table.js";
import { byOpening } from "./stages.js";
import { trend } from "./trend.js";

const SECONDS = 5;
const AVAILABLE = new Set(["live", "stopped"]);

const MEASURES = [
  { name: "eval_loss", label: "Evaluation loss", means: "after training, run by run; lower is better" },
  { name: "chrf", label: "chrF", means: "on held-out conversations, of 100; higher is better" },
];

const pointsOf = (runs, name) => runs.filter((entry) => entry[name] !== null).sort(byOpening)
  .map((entry) => ({ id: entry.run_id, at: entry.opened_at, value: entry[name] }));

/** The page at `#/datasets/<name>`. */
export function datasetPage(name, refresh) {
  let known = false;
  let sort = { column: "age", order: "up" };
  let shown = null;
  const head = new Part(h("header", { class: "run-head" }), drawHead);
  const model = new Part(h("section", { class: "card" }), drawModel);
  const curve = new Part(h("section", { class: "card" }), drawTrend);
  const list = new Part(h("div", {}), drawRuns);
  head.element.append(h("div", { class: "ghost" }));
  const body = h("div", { class: "dataset-grid" }, model.element, curve.element);
  const element = h("article", { class: "dataset" }, h("a", { class: "back", href: "#/datasets" }, "← All datasets"), head.element, body, list.element);
  body.hidden = true;

  async function look() {
    const [runs, models] = await Promise.all([api.runsOf(name), api.currentModels()]);
    // A dataset without a model may never have had one, and then there is nothing to be told again and again.
    const history = shown === null || models.has(name) ? await api.dataset(name) : shown.switches;
    if (runs.length === 0 && history === null) {
      refuse({ message: `No run was ever opened for a dataset called ${name}.` });
      return SECONDS;
    }
    known = true;
    body.hidden = false;
    shown = { runs, current: models.get(name) ?? null, switches: history };
    draw();
    return SECONDS;
  }

  function draw() {
    const { runs, current, switches } = shown;
    const history = switches?.history ?? [];
    head.show({ count: runs.length });
    model.show({ current: runs.find(({ run_id }) => run_id === current) ?? null, history, others: runs.filter(({ run_id, stage }) => AVAILABLE.has(stage) && run_id !== current).sort(byOpening).map(({ run_id, stage, opened_at }) => ({ run_id, stage, opened_at })) });
    const trends = MEASURES.map((measure) => ({ ...measure, points: pointsOf(runs, measure.name) })).filter(({ points }) => points.length > 1);
    curve.show({ trends, current });
    curve.element.hidden = trends.length === 0;
    body.classList.toggle("single", trends.length === 0);
    list.show({ runs: sorted([...runs], sort), sort, current });
  }

  function drawHead({ count, refused }) {
    if (refused) return h("div", {}, h("h1", {}, name), h("p", { class: "note bad", role: "alert" }, refused));
    return [
      h("div", { class: "run-title" }, h("h1", {}, name), h("p", { class: "lead" }, `A dataset with ${count} ${count === 1 ? "run" : "runs"}.`)),
      h("div", { class: "actions" }, h("a", { class: "button", href: `#/upload?dataset=${encodeURIComponent(name)}` }, "Upload a new version")),
    ];
  }

  function drawModel({ current, history, others }) {
    return [
      h("h2", {}, "Current model ", h("small", {}, "what the dataset’s name means in the API")),
      current
        ? h("p", { class: "current-model" }, badge(current.stage), " ", h("a", { href: runAddress(current.run_id) }, current.run_id), current.eval_loss !== null && h("span", { class: "sub" }, ` evaluation loss ${decimal(current.eval_loss)}`))
        : h("p", { class: "soft" }, "None: no run of it is live or stopped with its model."),
      h("div", { class: "actions small-gap" },
        others.length > 0 && h("button", { id: "promote", class: "small", type: "button", on: { click: () => promote(others) } }, "Make another current …"),
        history.length > 1 && h("button", { id: "roll-back", class: "small", type: "button", on: { click: rollBack } }, "Roll back …")),
      history.length > 0 && h("details", { id: "switches" }, h("summary", {}, `How it came to be (${history.length})`),
        h("ol", { class: "switches" }, history.map(({ kind, run_id: id, at, by, why }) =>
          h("li", {}, h("time", { datetime: at }, moment(at)), ": ", h("a", { href: runAddress(id) }, id), ` ${kind} by ${by}${why ? `: ${why}` : ""}`)))),
    ];
  }

  function drawTrend({ trends, current }) {
    return trends.map(({ label, means, points }) => h("div", { class: "one-trend" }, h("h2", {}, label, " ", h("small", {}, means)), trend(label, points, current)));
  }

  function drawRuns({ runs, sort: by, current }) {
    const choose = (chosen) => { sort = chosen; draw(); };
    return runs.length > 0 && h("div", { class: "card flush" }, runTable(runs, by, { choose, acknowledge, current: new Set([current]), named: "Run" }));
  }

  async function acknowledge(entry) {
    await api.acknowledge(entry.run_id).then(() => announce(`${entry.run_id} is acknowledged.`), (fault) => announce(fault.message));
    await refresh();
  }

  function promote(others) {
    const choice = h("select", { id: "promoted" }, others.map(({ run_id: id, stage, opened_at: at }) => h("option", { value: id }, `${id}, ${stage}, of ${moment(at)}`)));
    const why = h("input", { id: "why", maxlength: 200, placeholder: "For the history" });
    return confirm({
      title: "Make another model current?",
      body: [`Requests that name ${name} go to this run’s model from then on; those under way end where they began.`],
      fields: [h("label", { for: "promoted" }, "Run"), choice, h("label", { for: "why" }, "Why"), why],
      label: "Make it current",
      act: () => api.promote(name, { run_id: choice.value, why: why.value, by: "the page" }),
      said: "The current model is another.",
    }, refresh);
  }

  function rollBack() {
    const why = h("input", { id: "why", maxlength: 200, placeholder: "For the history" });
    return confirm({
      title: "Roll back to the model before?",
      body: [`Requests that name ${name} go to the model that was current before; those under way end where they began.`],
      fields: [h("label", { for: "why" }, "Why"), why],
      label: "Roll back",
      act: () => api.rollBack(name, { why: why.value, by: "the page" }),
      said: "The model before is current again.",
    }, refresh);
  }

  function refuse(fault) {
    head.show({ refused: fault.message });
    body.hidden = true;
    list.show({ runs: [] });
  }

  const away = (fault) => { if (!known) refuse(fault); };
  return { title: name, element, look, refuse, away };
}
