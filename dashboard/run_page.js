// One run: its heading with actions, and three pages below (summary, report, chat).

import { datasetAddress, listAddress } from "./address.js";
import * as api from "./api.js";
import { actionsFor, retryButton } from "./actions.js";
import { chatPage } from "./chat.js";
import { announce, h, Part } from "./dom.js";
import { now, until } from "./format.js";
import { badge } from "./run_table.js";
import { reportPage } from "./report.js";
import { isMoving, atRest, endSentence, failureTitle, lastingOf, meaning, waitingSentence } from "./stages.js";
import { summaryPage } from "./summary.js";

const MOVING_SECONDS = 1.5;
const RESTING_SECONDS = 5;
const OVER_SECONDS = 30;
// A map, since the address names one: whatever it spells, it finds nothing but these.
const PAGES = new Map([
  ["summary", { name: "Run", make: summaryPage }],
  ["report", { name: "Dataset report", make: reportPage }],
  ["chat", { name: "Chat", make: chatPage }],
]);

/** The page at `#/runs/<id>` and below. */
export function runPage(id, asked, refresh) {
  const page = PAGES.has(asked) ? asked : "summary";
  const { name, make } = PAGES.get(page);
  const body = make(id);
  let stage;
  let siblings = null;
  const head = new Part(h("header", { class: "run-head" }), (state) => "refused" in state ? drawRefusal(state.refused, id, refresh) : drawHead(state, refresh));
  const faults = new Part(h("div", { class: "faults" }), (state) => drawFaults(state, id, page));
  const element = h("article", { class: "run" },
    h("a", { class: "back", href: listAddress() }, "← All runs"), head.element, navigation(id, page), faults.element, body.element);
  head.element.append(h("div", { class: "ghost" }));

  async function look() {
    const run = await api.run(id);
    body.element.hidden = false;
    head.show({ run: headOf(run), suspended: run.suspended });
    faults.show(faultsOf(run));
    if (page === "summary" && stage !== run.stage) siblings = await siblingsOf(run).catch(() => siblings);
    await body.show({ ...run, siblings });
    if (stage !== undefined && stage !== run.stage) announce(`${run.dataset} is ${run.stage}. ${meaning(run.stage)}`);
    stage = run.stage;
    if (atRest(stage)) return OVER_SECONDS;
    return isMoving(stage) ? MOVING_SECONDS : RESTING_SECONDS;
  }

  const refuse = (fault) => {
    head.show({ refused: fault.status });
    faults.show({ refused: fault.message });
    body.element.hidden = true;
  };
  const away = (fault) => { if (stage === undefined) refuse(fault); };
  return { title: `${id} · ${name}`, element, look, refuse, away };
}

/** The runs before and after a run, of its dataset. */
async function siblingsOf({ run_id: id, dataset }) {
  const all = (await api.runsOf(dataset)).filter(({ opened_at: opened }) => opened).sort((one, other) => one.opened_at.localeCompare(other.opened_at));
  const at = all.findIndex((entry) => entry.run_id === id);
  const brief = (entry) => entry && { run_id: entry.run_id, stage: entry.stage, eval_loss: entry.eval_loss };
  return at < 0 ? null : { earlier: brief(all[at - 1]) ?? null, later: brief(all[at + 1]) ?? null };
}

/** Only what the head shows, so that it is not drawn anew for anything else. */
function headOf({ run_id, dataset, stage, endpoint, failures, end_reason, outcome, options, waiting_for, may_be_started, needs_attention, acknowledged }) {
  const times = endpoint && { name: endpoint.name, expires_at: endpoint.expires_at, idle_at: endpoint.idle_at, latest_end_at: endpoint.latest_end_at };
  const { instance_count, instance_type, lifetime_hours } = options;
  const deployed = { instance_count, instance_type, lifetime_hours };
  return { run_id, dataset, stage, endpoint: times, failures, end_reason, outcome, options: deployed, waiting_for, may_be_started, needs_attention, acknowledged };
}

function faultsOf(run) {
  const { stage, error, last_fault, suspended, failures, due, duplicate_of, serving } = run;
  const lasting = run.attention ? { what: endSentence(stage, run.attention), hint: "The run goes on as far as it can by itself." } : lastingOf(run);
  const attempts = serving?.failed ?? [];
  return { error, last_fault: atRest(stage) ? null : last_fault, suspended, lasting, failures, due, duplicate_of, attempts };
}

function drawHead(state, refresh) {
  const { run } = state;
  return [
    h("div", { class: "run-title" },
      h("h1", {}, h("a", { class: "plain", href: datasetAddress(run.dataset), title: "All runs of this dataset" }, run.dataset), " ", badge(run.stage)),
      h("p", { class: "id" }, run.run_id),
      h("p", { class: "lead" }, leadOf(run))),
    h("div", { class: "actions" }, actionsFor(state, refresh)),
  ];
}

function drawRefusal(status, id, refresh) {
  const unreadable = status === 409; // a retry has the app look at its record again
  return [
    h("h1", {}, status === 404 ? "Run not found" : "This run cannot be shown"),
    unreadable && h("div", { class: "actions" }, retryButton(id, refresh)),
  ];
}

function leadOf(run) {
  const { stage, endpoint } = run;
  if (stage === "live" && endpoint) {
    return ["The endpoint answers. It stops in ", until(endpoint.expires_at),
      endpoint.idle_at && Date.parse(endpoint.idle_at) < Date.parse(endpoint.expires_at) && Date.parse(endpoint.idle_at) > now() && [", or in ", until(endpoint.idle_at), " if it is not used"], "."];
  }
  if (stage === "deleting" && run.outcome) return [meaning(stage), ` Then the run is ${run.outcome}.`];
  if (run.waiting_for) return waitingSentence(run.waiting_for);
  return run.end_reason ? `${meaning(stage)} ${endSentence(stage, run.end_reason)}` : meaning(stage);
}

function drawFaults({ error, last_fault: fault, suspended, lasting, failures, due, duplicate_of: twin, attempts, refused }, id, page) {
  if (refused) return h("p", { class: "note bad", role: "alert" }, refused);
  const inReport = error?.code === "DatasetRejected"; // where it stands with its lines
  return [
    suspended !== null && h("section", { class: "note warn" }, h("h2", {}, "Suspended: this run needs a person"),
      h("p", { class: "words" }, suspended || "Five attempts to advance it failed."), h("p", { class: "hint" }, "Fix the cause, then retry. The app also retries once an hour.")),
    suspended === null && lasting && h("section", { class: "note warn" }, h("h2", {}, lasting.what), h("p", {}, lasting.hint)),
    error && !(inReport && page === "report") && h("section", { class: "note bad" }, h("h2", {}, failureTitle(error)), h("p", { class: "words" }, error.message),
      inReport && h("p", {}, h("a", { href: `#/runs/${encodeURIComponent(id)}/report` }, "All findings, by line")),
      h("p", { class: "hint" }, `${error.code}, in stage ${error.stage}`)),
    fault && failures > 0 && h("section", { class: "note warn" }, h("h2", {}, `A step failed ${failures === 1 ? "once" : `${failures} times`}; the app tries again`, due && [" in ", until(due)]),
      h("p", { class: "words" }, fault.message), h("p", { class: "hint" }, `${fault.code}, in stage ${fault.stage}`)),
    attempts?.length > 0 && h("section", { class: "note calm" }, h("h2", {}, "Serving strategies that failed"),
      attempts.map(({ strategy, message }) => h("p", { class: "words" }, h("b", {}, strategy), `: ${message}`))),
    twin && h("section", { class: "note calm" }, h("p", {}, "An earlier run trains the same content: ", h("a", { href: `#/runs/${encodeURIComponent(twin)}` }, twin), ".")),
  ];
}

function navigation(id, page) {
  const base = `#/runs/${encodeURIComponent(id)}`;
  return h("nav", { class: "pages", "aria-label": "Pages of this run" }, [...PAGES].map(([key, { name }]) =>
    h("a", { href: key === "summary" ? base : `${base}/${key}`, "aria-current": key === page ? "page" : null }, name)));
}
