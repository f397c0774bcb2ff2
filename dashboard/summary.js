// A run's first page: timeline, loss curves, smoke test, and the facts.

import { lossCurves } from "./chart.js";
import { h, Part } from "./dom.js";
import { BLANK, bytes, capital, costSince, count, decimal, hours, moment, price, since, today, until } from "./format.js";
import { atRest } from "./stages.js";
import { timeline } from "./timeline.js";
import { useItCard } from "./use_it.js";

/** What to show of a run, and where. */
export function summaryPage() {
  const parts = [
    [new Part(h("section", { class: "card span" }), (run) => [h("h2", {}, "Stages"), timeline(run)]), ({ history, stage, outcome }) => ({ history, stage, outcome, today: today() })],
    [new Part(h("section", { class: "card" }), drawLoss), ({ metrics, stage }) => ({ metrics, over: atRest(stage) })],
    [new Part(h("section", { class: "card facts" }), drawFacts), factsOf],
    [new Part(h("section", { class: "card" }), drawSmokeTest), ({ smoke_test: tests, stage, evaluation, promotion }) => ({ tests, over: atRest(stage), evaluation, promotion })],
  ];
  const [stages, loss, facts, smokeTest] = parts.map(([part]) => part.element);
  const useIt = useItCard();
  const element = h("div", { class: "grid" }, stages, useIt.element, h("div", { class: "column" }, loss, smokeTest), facts);
  return { element, show };

  function show(run) {
    parts.forEach(([part, pick]) => part.show(pick(run)));
    useIt.show(run);
  }
}

function drawLoss({ metrics, over }) {
  const title = h("h2", {}, "Loss ", h("small", {}, "nats per token"));
  const curves = metrics && lossCurves(metrics);
  if (curves) return [title, curves];
  return [title, h("p", { class: "empty" }, over ? "Training logged no loss." : "The curves appear when training is complete.")];
}

function drawSmokeTest({ tests, over, evaluation, promotion }) {
  const title = h("h2", {}, "Smoke test ", h("small", {}, "held-out conversations, sent before the endpoint got traffic"));
  if (!tests) return [title, h("p", { class: "empty" }, over ? "No smoke test ran." : "The smoke test runs when the deployment is ready.")];
  if (tests.length === 0) return [title, h("p", { class: "empty" }, "The test split has no rows.")];
  return [title, evaluation && h("p", { class: "hint", id: "evaluation" }, evaluated(evaluation)), promotion && h("p", { id: "promotion" }, promoted(promotion, evaluation)), h("ol", { class: "exchanges" }, tests.map(exchange))];
}

function promoted({ promoted: taken, why }, evaluation) {
  const chrf = evaluation?.comparison?.differences.chrf;
  const difference = chrf ? `; chrF ${decimal(chrf.value)} (${decimal(chrf.low)} to ${decimal(chrf.high)}) from it` : "";
  return `The model ${taken ? "took" : "did not take"} the dataset’s name: ${why}${difference}.`;
}

const MEASURES = [["chrf", "chrF", ""], ["rouge_l", "ROUGE-L", ""], ["exact_match", "exact match", " %"], ["latency_p95", "p95 latency", " s"]];

function evaluated({ rows, asked, ended, metrics }) {
  if (!ended) return `Evaluation: ${asked} of ${rows} test rows answered.`;
  const measured = MEASURES.filter(([name]) => metrics[name]).map(([name, label, unit]) =>
    `${label} ${decimal(metrics[name].value)}${unit} (${decimal(metrics[name].low)} to ${decimal(metrics[name].high)})`);
  return `Evaluation on ${asked} of ${rows} test rows: ${measured.join(", ") || "no row was answered"}.`;
}

function exchange({ prompt, expected, reply }) {
  const earlier = prompt.slice(0, -1);
  return h("li", {},
    earlier.length > 0 && h("details", {}, h("summary", {}, `${earlier.length} earlier ${earlier.length === 1 ? "message" : "messages"}`),
      earlier.map(({ role, content }) => h("p", { class: "earlier" }, h("b", {}, capital(role)), " ", content))),
    h("p", { class: "asked" }, prompt.at(-1)?.content),
    h("div", { class: "pair" },
      h("div", {}, h("h3", {}, "The model answered"), h("p", {}, reply)),
      h("div", { class: "truth" }, h("h3", {}, "The dataset’s answer"), h("p", {}, expected))));
}

function factsOf(run) {
  const { endpoint, options, model, job, metrics, plan, upload, report, cost, opened_at: opened, history } = run;
  return {
    endpoint: endpoint && { ...endpoint, seconds_left: undefined }, options, model, job, plan, upload, report, cost,
    losses: metrics && [metrics.train_loss, metrics.eval_loss],
    opened: opened ?? history[0].at,
    live: run.stage === "live",
    spent: { history, stage: run.stage, nodes: options.instance_count, trainers: Number(plan?.parameters.num_nodes_finetune) || 1 },
  };
}

function drawFacts({ endpoint, options, model, job, losses, plan, upload, report, cost, opened, live, spent }) {
  return [
    h("h2", {}, "Facts"),
    group("Dataset", [
      ["Upload", upload.files.map(({ path, size }) => `${path} (${bytes(size)})`).join(", ")],
      ["Opened", moment(opened)],
      report && ["Rows", Object.entries(report.rows).map(([split, rows]) => `${count(rows)} ${split}`).join(", ")],
      report && ["Tokens", `${count(report.tokens)}, estimated`],
    ]),
    group("Training", [
      ["Base model", plan ? `${plan.base_model_name}, version${BLANK}${plan.base_model_version}` : options.base_model],
      job && ["Job", [job.status, safeLink(job.studio_url, "Azure ML studio")]],
      ["Compute", options.compute],
      ["Trained on", options.compute_size],
      losses?.[0] != null && ["Training loss", `${decimal(losses[0])}, mean of all steps`],
      losses?.[1] != null && ["Evaluation loss", `${decimal(losses[1])}, after the last step`],
      model && ["Model", model.name],
    ]),
    endpoint && group("Endpoint", [
      ["Live since", moment(endpoint.live_since)],
      live && ["Stops in", until(endpoint.expires_at)],
      live && ["If idle", endpoint.idle_at ? ["in ", until(endpoint.idle_at)] : "kept"],
      live && ["Last used", endpoint.last_used ? [since(endpoint.last_used), " ago"] : "not yet"],
      ["Served on", options.instance_count === 1 ? options.instance_type : `${options.instance_count} × ${options.instance_type}`],
    ]),
    cost && [group("Time and cost", costRows(cost, spent)), h("p", { class: "hint" }, cost.assumption)],
    plan && h("details", { id: "parameters" }, h("summary", {}, "Training parameters"), list(Object.entries(plan.parameters))),
  ];
}

// A record stands still while its hours go on, so that what has not ended is counted here.
function costRows(cost, { history, stage, nodes, trainers }) {
  const { currency, training_price_per_hour: trainingPrice, endpoint_price_per_hour: endpointPrice } = cost;
  const row = (name, used, paid, begun, count, each) => used !== null && [name, begun
    ? [since(begun, count), each !== null && [", costing ", costSince(begun, each * count, currency)]]
    : [hours(used), paid !== null && [", costing ", price(paid, currency)]]];
  const entered = (wanted) => history.find((entry) => entry.stage === wanted)?.at;
  const trains = !atRest(stage) && !entered("trained") && entered("training");
  const serves = !atRest(stage) && servingSince(history);
  return [
    row("Training nodes", cost.training_node_hours, cost.training_cost, trains, trainers, trainingPrice),
    row("Endpoint nodes", cost.endpoint_node_hours, cost.endpoint_cost, serves, nodes, endpointPrice),
    row("Saved", cost.saved_node_hours, cost.saved_cost, atRest(stage) && savingSince(history), nodes, endpointPrice),
  ];
}

/** When the endpoint came up, moved back by the times that it was up before, or undefined. */
function servingSince(history) {
  const starts = history.flatMap(({ stage }, at) => stage === "deploying" ? [at] : []);
  if (starts.length === 0) return undefined;
  const before = starts.slice(0, -1).map((at) => {
    const down = history.slice(at).find(({ stage }) => atRest(stage));
    return down ? Date.parse(down.at) - Date.parse(history[at].at) : 0;
  });
  const up = Date.parse(history[starts.at(-1)].at);
  return new Date(before.reduce((time, span) => time - span, up)).toISOString();
}

/** When the run was stopped last, moved back by the times that it was stopped before, since it was live first. */
function savingSince(history) {
  const lived = history.findIndex(({ stage }) => stage === "live");
  const before = history.slice(lived, -1).map(({ stage, at }, index) =>
    atRest(stage) ? Date.parse(history[lived + index + 1].at) - Date.parse(at) : 0);
  return new Date(before.reduce((time, span) => time - span, Date.parse(history.at(-1).at))).toISOString();
}

function group(title, rows) {
  return [h("h3", {}, title), list(rows.filter(Boolean))];
}

function list(rows) {
  return h("dl", {}, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A link only to the web, whatever the record says. */
function safeLink(address, label) {
  return address?.startsWith("https://") ? [" · ", h("a", { href: address, target: "_blank", rel: "noreferrer" }, label, h("span", { class: "unseen" }, " (new tab)"))] : null;
}
