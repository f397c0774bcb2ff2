// What is known of a run: its dataset, its training, its endpoint, its cost, and the options that it was given.

import { datasetAddress, runAddress } from "./address.js";
import { h } from "./dom.js";
import { BLANK, bytes, capital, costSince, count, decimal, hours, moment, price, since, until } from "./format.js";
import { atRest, jobWords } from "./stages.js";

/** Only what the facts show, so that they are not drawn anew for anything else. */
export function factsOf(run) {
  const { endpoint, options, given_options: given, model, job, metrics, plan, upload, report, cost, opened_at: opened, history } = run;
  return {
    endpoint: endpoint && { ...endpoint, seconds_left: undefined }, options, given, model, job, plan, upload, report, cost,
    losses: metrics && [metrics.train_loss, metrics.eval_loss],
    opened: opened ?? history[0].at,
    live: run.stage === "live",
    spent: { history, stage: run.stage, nodes: options.instance_count, trainers: Number(plan?.parameters.num_nodes_finetune) || 1 },
    quote: run.quote,
    siblings: run.siblings,
    dataset: run.dataset,
  };
}

/** Children of the card. */
export function drawFacts({ endpoint, options, given, model, job, losses, plan, upload, report, cost, opened, live, spent, quote, siblings, dataset }) {
  return [
    h("h2", {}, "Facts"),
    group("Dataset", [
      ["Upload", upload.files.map(({ path, size }) => `${path} (${bytes(size)})`).join(", ")],
      ["Opened", moment(opened)],
      report && ["Rows", Object.entries(report.rows).map(([split, rows]) => `${count(rows)} ${split}`).join(", ")],
      report && ["Tokens", `${count(report.tokens)}, estimated`],
      ...lineage(siblings, dataset),
    ]),
    group("Training", [
      ["Base model", plan ? `${plan.base_model_name}, version${BLANK}${plan.base_model_version}` : options.base_model],
      job && ["Job", [capital(jobWords(job.status)), safeLink(job.studio_url, "Azure ML studio")]],
      ["Compute", options.compute],
      [spent.history.some(({ stage }) => stage === "training") ? "Trained on" : "To train on", plan?.compute_size ?? options.compute_size],
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
    cost && costGroup(cost, spent, quote),
    h("details", { id: "parameters" }, h("summary", {}, "Options and parameters"), optionTable(options, given, plan)),
  ];
}

/** The runs before and after this one, of the same dataset. */
function lineage(siblings, dataset) {
  const name = ["All its runs", h("a", { href: datasetAddress(dataset) }, dataset)];
  if (!siblings) return [name];
  const link = (sibling) => [h("a", { href: runAddress(sibling.run_id) }, sibling.run_id), ` (${sibling.stage ?? "unreadable"}${sibling.eval_loss === null ? "" : `, evaluation loss ${decimal(sibling.eval_loss)}`})`];
  return [
    siblings.earlier && ["Run before", link(siblings.earlier)],
    siblings.later && ["Run after", link(siblings.later)],
    name,
  ];
}

function costGroup(cost, spent, quote) {
  const rows = [...estimateRows(quote), ...costRows(cost, spent)].filter(Boolean);
  return rows.length > 0 && [group("Time and cost", rows), h("p", { class: "hint" }, cost.assumption)];
}

/** What was estimated before training began. */
function estimateRows(quote) {
  if (!quote) return [];
  const { training_hours: training, total_cost: total, currency } = quote;
  return [
    training && ["Estimate", `${hours(training.likely)} of training (${hours(training.low)} to ${hours(training.high)}), by ${training.runs} earlier ${training.runs === 1 ? "run" : "runs"}`],
    total && ["Estimated cost", `${price(total.likely, currency)} (${price(total.low, currency)} to ${price(total.high, currency)})`],
  ];
}

/** What the upload's run.json says beside what the run uses: its own options, then the job's parameters. */
function optionTable(options, given, plan) {
  const parameters = plan?.parameters ?? options.parameters;
  const { parameters: givenParameters = {}, ...givenOptions } = given ?? {};
  const rows = [
    ...Object.entries(options).filter(([name]) => name !== "parameters").map(([name, value]) => [name, givenOptions[name], value]),
    ...[...new Set([...Object.keys(givenParameters), ...Object.keys(parameters)])].map((name) => [`parameters.${name}`, givenParameters[name], parameters[name]]),
  ].filter(([, asked, used]) => asked !== undefined || (used !== "" && !(Array.isArray(used) && used.length === 0)));
  rows.sort(([, one], [, other]) => Number(other !== undefined) - Number(one !== undefined));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Options and parameters" },
    h("table", { class: "figures options" },
      h("thead", {}, h("tr", {}, ["Option", "In run.json", "Used"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map(([name, asked, used]) => h("tr", { class: asked === undefined ? null : "given" },
        h("th", { scope: "row" }, name), h("td", {}, shown(asked)), h("td", {}, shown(used)))))));
}

const shown = (value) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));

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
