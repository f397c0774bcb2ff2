// Loss over training steps: an SVG drawn to the width it has, read with pointer or arrow keys, and a table.

import { h, svg } from "./dom.js";
import { count, decimal } from "./format.js";

const HEIGHT = 260;
const MARGIN = { top: 12, right: 16, bottom: 40, left: 48 };

/**
 * The curves of a run's metrics, or null if it has none.
 * @param {{history: object, latest: object, train_loss: number|null, eval_loss: number|null}} metrics
 */
export function lossCurves(metrics) {
  const series = seriesOf(metrics);
  if (!series.some(({ points }) => points.length > 1)) return null; // one number is no curve, and stands among the facts
  const steps = [...new Set(series.flatMap(({ points }) => points.map(({ step }) => step)))].sort((a, b) => a - b);
  return h("div", { class: "curves" }, legend(series), plot(series, steps), table(series, steps));
}

function seriesOf({ history, latest, eval_loss: evaluation }) {
  const training = history.loss ?? history.train_loss ?? [];
  let evaluated = history.eval_loss ?? [];
  const end = training.at(-1)?.step ?? latest.step ?? 1;
  // One evaluation, after the last step, has no history of its own.
  if (evaluated.length === 0 && evaluation !== null) evaluated = [{ step: end, value: evaluation }];
  return [
    { id: "train", name: "Training", points: training },
    { id: "eval", name: "Evaluation", points: evaluated },
  ].filter(({ points }) => points.length > 0);
}

function legend(series) {
  return h("ul", { class: "legend" }, series.map(({ id, name, points }) =>
    h("li", { class: id }, h("i", { class: "swatch", "aria-hidden": "true" }), name, " ", h("b", {}, decimal(points.at(-1).value)), points.length > 1 && " last")));
}

function plot(series, steps) {
  const hint = h("div", { class: "tip", hidden: true });
  const drawing = svg("svg", { class: "plot", height: HEIGHT, "aria-hidden": "true" });
  const box = h("div", {
    class: "plot-box", role: "slider", tabindex: "0", "aria-label": "Loss at training step", "aria-orientation": "horizontal",
    "aria-valuemin": steps[0], "aria-valuemax": steps.at(-1), "aria-valuenow": steps.at(-1), "aria-valuetext": words(series, steps.at(-1)),
  }, drawing, hint);
  let at = steps.length - 1;
  let scale = null;

  const point = (index) => {
    at = Math.max(0, Math.min(steps.length - 1, index));
    box.setAttribute("aria-valuenow", steps[at]);
    box.setAttribute("aria-valuetext", words(series, steps[at]));
    pointOut(drawing, hint, series, steps[at], scale);
  };
  const hide = () => { hint.hidden = true; drawing.querySelector(".pointer")?.remove(); };
  const moves = { ArrowLeft: () => at - 1, ArrowDown: () => at - 1, ArrowRight: () => at + 1, ArrowUp: () => at + 1, Home: () => 0, End: () => steps.length - 1 };
  box.addEventListener("keydown", (event) => {
    if (!Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    point(moves[event.key]());
  });
  box.addEventListener("focus", () => box.matches(":focus-visible") && point(at));
  box.addEventListener("blur", hide);
  box.addEventListener("pointermove", (event) => point(nearest(steps, scale.step(event.clientX - box.getBoundingClientRect().left))));
  box.addEventListener("pointerleave", () => document.activeElement === box ? point(at) : hide());
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width > 0) scale = drawAll(drawing, series, steps, contentRect.width);
  }).observe(box);
  return box;
}

function drawAll(drawing, series, steps, width) {
  const values = series.flatMap(({ points }) => points.map(({ value }) => value));
  const marks = ticks(Math.min(...values), Math.max(...values), 5);
  const [low, high] = [marks[0], marks.at(-1)];
  const span = Math.max(1, steps.at(-1) - steps[0]);
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const x = (step) => MARGIN.left + ((step - steps[0]) / span) * inner.width;
  const y = (value) => MARGIN.top + (1 - (value - low) / (high - low)) * inner.height;
  const floor = HEIGHT - MARGIN.bottom;
  const stepMarks = ticks(steps[0], steps.at(-1), width < 420 ? 4 : 8).filter((step) => Number.isInteger(step) && step >= steps[0] && step <= steps.at(-1));
  drawing.setAttribute("width", width);
  drawing.replaceChildren(
    ...marks.map((value) => svg("g", {},
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(6)))))),
    ...stepMarks.map((step) => svg("text", { x: x(step), y: floor + 18, "text-anchor": "middle" }, count(step))),
    svg("text", { class: "axis-name", x: MARGIN.left + inner.width / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "training step"),
    ...series.map((one) => curve(one, x, y)),
  );
  return { x, y, floor, width, step: (pixels) => steps[0] + ((pixels - MARGIN.left) / inner.width) * span };
}

function curve({ id, points }, x, y) {
  const path = points.map(({ step, value }, at) => `${at === 0 ? "M" : "L"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const dots = id === "eval" || points.length === 1;
  return svg("g", { class: `curve ${id}` },
    svg("path", { d: path }),
    dots && points.map(({ step, value }) => svg("circle", { cx: x(step), cy: y(value), r: 4 })));
}

function pointOut(drawing, hint, series, step, { x, y, floor, width }) {
  drawing.querySelector(".pointer")?.remove();
  drawing.append(svg("g", { class: "pointer" },
    svg("line", { x1: x(step), x2: x(step), y1: MARGIN.top, y2: floor }),
    series.map(({ id, points }) => points.filter((point) => point.step === step)
      .map(({ value }) => svg("circle", { class: id, cx: x(step), cy: y(value), r: 5 })))));
  hint.replaceChildren(h("b", {}, `Step ${count(step)}`), ...series.map(({ id, name, points }) => {
    const point = points.find((one) => one.step === step);
    return point ? h("span", { class: id }, h("i", { class: "swatch" }), `${name} ${decimal(point.value)}`) : "";
  }));
  hint.hidden = false;
  const left = x(step) + 12;
  hint.style.left = `${left + hint.offsetWidth > width ? x(step) - 12 - hint.offsetWidth : left}px`;
}

function words(series, step) {
  const values = series.flatMap(({ name, points }) => points.filter((point) => point.step === step).map(({ value }) => `${name} ${decimal(value)}`));
  return `Step ${step}: ${values.join(", ")}`;
}

function nearest(steps, wanted) {
  let best = 0;
  steps.forEach((step, at) => { if (Math.abs(step - wanted) < Math.abs(steps[best] - wanted)) best = at; });
  return best;
}

/** Round numbers from below `low` to above `high`, about `wanted` of them. */
export function ticks(low, high, wanted) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / Math.max(1, wanted - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.floor(low / size);
  const last = Math.max(first + 1, Math.ceil(high / size));
  return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * size);
}

function table(series, steps) {
  return h("details", { id: "loss-table", class: "as-table" },
    h("summary", {}, "As a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Loss by step" },
      h("table", { class: "figures" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), series.map(({ name }) => h("th", { scope: "col" }, `${name} loss`)))),
        h("tbody", {}, steps.map((step) => h("tr", {}, h("th", { scope: "row" }, count(step)), series.map(({ points }) => {
          const point = points.find((one) => one.step === step);
          return h("td", {}, point ? decimal(point.value) : "");
        })))))));
}
