// A measure of a dataset's runs, one after the other.

import { runAddress } from "./address.js";
import { ticks } from "./chart.js";
import { h, svg } from "./dom.js";
import { decimal, moment } from "./format.js";

const [WIDTH, HEIGHT] = [520, 190];
const MARGIN = { top: 14, right: 16, bottom: 26, left: 46 };
const MOST = 30;

/**
 * A line through the runs that leads to each, and the same as a table.
 * @param {string} label what is measured
 * @param {{id: string, at: string, value: number}[]} all the oldest last
 * @param {string|null} current the run whose point stands out
 */
export function trend(label, all, current) {
  const points = all.slice(0, MOST).reverse();
  const values = points.map(({ value }) => value);
  const marks = ticks(Math.min(...values), Math.max(...values), 4);
  const [low, high] = [marks[0], marks.at(-1)];
  const room = WIDTH - MARGIN.left - MARGIN.right;
  const x = (at) => MARGIN.left + (points.length === 1 ? room / 2 : (at / (points.length - 1)) * room);
  const y = (value) => MARGIN.top + (1 - (value - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const path = points.map(({ value }, at) => `${at === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return [
    svg("svg", { class: "trend", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
      marks.map((value) => svg("g", {},
        svg("line", { class: "grid", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(value), y2: y(value) }),
        svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(4)))))),
      svg("g", { class: "curve" }, svg("path", { d: path })),
      points.map(({ id, at: opened, value }, at) => svg("circle", { class: `point ${id === current ? "current" : ""}`, cx: x(at), cy: y(value), r: id === current ? 6 : 4 },
        svg("title", {}, `${id}, ${moment(opened)}: ${decimal(value)}`))),
      svg("text", { class: "axis-name", x: MARGIN.left, y: HEIGHT - 6 }, "older"),
      svg("text", { class: "axis-name", x: WIDTH - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, "newer")),
    h("details", { id: `trend-${label}`, class: "as-table" }, h("summary", {}, "As a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${label} by run` },
        h("table", { class: "figures" },
          h("thead", {}, h("tr", {}, ["Run", "Opened", label].map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, [...points].reverse().map(({ id, at, value }) =>
            h("tr", {}, h("th", { scope: "row" }, h("a", { href: runAddress(id) }, id), id === current && " (current)"), h("td", {}, moment(at)), h("td", {}, decimal(value)))))))),
  ];
}
