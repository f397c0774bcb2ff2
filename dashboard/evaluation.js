// What the deployment answered before it got traffic: measured, and conversation by conversation.

import { h, svg } from "./dom.js";
import { capital } from "./format.js";

// Of 100, the more the better, unless a scale is named.
const MEASURES = [
  { name: "chrf", label: "chrF", means: "characters in common with the dataset’s answers" },
  { name: "rouge_l", label: "ROUGE-L", means: "longest common sequence of words" },
  { name: "token_f1", label: "Token F1", means: "words in common" },
  { name: "exact_match", label: "Exact match", unit: " %", means: "answers that are the same" },
  { name: "length_ratio", label: "Length", scale: 2, unit: " ×", means: "of the dataset’s answers" },
  { name: "latency_p50", label: "Median latency", scale: null, unit: " s" },
  { name: "latency_p95", label: "95th percentile", scale: null, unit: " s" },
  { name: "tokens_per_second", label: "Tokens per second", scale: null, unit: "" },
];

/** Children of the card; none while there is nothing to show. */
export function drawEvaluation({ tests, evaluation, promotion }) {
  const shown = tests?.length > 0;
  if (!shown && !evaluation && !promotion) return null;
  return [
    h("h2", {}, "Evaluation ", h("small", {}, "on held-out conversations, before the endpoint got traffic")),
    promotion && h("p", { id: "promotion" }, promoted(promotion, evaluation)),
    evaluation && measured(evaluation),
    shown && [h("h3", { class: "examples" }, tests.length === 1 ? "One of the rows" : `${tests.length} of the rows`), h("ol", { class: "exchanges" }, tests.map(exchange))],
  ];
}

function promoted({ promoted: taken, why, approval }, evaluation) {
  const chrf = evaluation?.comparison?.differences.chrf;
  const signed = (value) => `${value > 0 ? "+" : ""}${short(value)}`;
  const difference = chrf ? ` (chrF ${signed(chrf.value)}, from ${signed(chrf.low)} to ${signed(chrf.high)})` : "";
  // Beside the page; the run names it from the app's own root.
  const asked = approval && h("a", { href: approval.replace("/api/", ""), target: "_blank", rel: "noreferrer" }, "Say yes or no", h("span", { class: "unseen" }, " (new tab)"));
  return [`The model ${taken ? "took" : "did not take"} the dataset’s name: ${why}${difference}.`, asked && " ", asked];
}

function measured({ rows, asked, ended, refused, metrics }) {
  const found = MEASURES.filter(({ name }) => metrics[name]);
  const state = ended ? `${asked} of ${rows} test rows answered` : `In progress: ${asked} of ${rows} test rows are answered`;
  return h("div", { id: "evaluation" },
    !ended && h("progress", { max: rows, value: asked, "aria-label": "Test rows answered" }),
    h("p", { class: "hint" }, state, refused > 0 && `, of which the model’s server refused ${refused}`, ended && found.length > 0 ? ". Ranges are 95 % intervals." : "."),
    found.length > 0 && h("dl", { class: "measures" }, found.map((one) => measure(one, metrics[one.name]))));
}

function measure({ label, scale = 100, unit = "", means }, { value, low, high }) {
  return [
    h("dt", {}, label, means && h("span", { class: "sub" }, means)),
    h("dd", {}, h("b", {}, `${short(value)}${unit}`), h("span", { class: "sub" }, ` ${short(low)} to ${short(high)}`),
      scale && meter(value / scale, low / scale, high / scale)),
  ];
}

const short = (value) => (Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3))));

/** A line from 0 to 1 with the interval and the value on it. */
function meter(value, low, high) {
  const at = (share) => Math.max(0, Math.min(1, share)) * 200;
  return svg("svg", { class: "meter", viewBox: "0 0 200 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "whole", x: 0, y: 3, width: 200, height: 4, rx: 2 }),
    svg("rect", { class: "interval", x: at(low), y: 1, width: Math.max(2, at(high) - at(low)), height: 8, rx: 2 }),
    svg("rect", { class: "value-mark", x: Math.min(197, Math.max(0, at(value) - 1.5)), y: 0, width: 3, height: 10, rx: 1 }));
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
