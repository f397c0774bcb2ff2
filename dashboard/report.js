// What validation found, drawn from the report's JSON.

import * as api from "./api.js";
import { h, Part, svg } from "./dom.js";
import { bytes, capital, count } from "./format.js";
import { atRest, sentence } from "./stages.js";

const KINDS = [["E", "Faults", "bad"], ["W", "Warnings", "warn"], ["R", "Repaired in the snapshot that training reads", "calm"]];
const MOST_BARS = 12;
const OPENED = 3; // kinds of faults that show their lines at once

/** The page at `#/runs/<id>/report`; a report is written once, and so fetched once. */
export function reportPage(id) {
  let report = null;
  const part = new Part(h("div", { class: "report" }), ({ report: found, over }) => found ? draw(found, id) : nothing(over));
  part.element.append(h("div", { class: "ghost tall" }));
  async function show(run) {
    report ??= await api.report(id).catch((fault) => {
      if (fault.status === 404) return null;
      throw fault;
    });
    part.show({ report, over: atRest(run.stage) });
  }
  return { element: part.element, show };
}

function nothing(over) {
  return h("p", { class: "card empty" }, over ? "The dataset was not validated." : "Validation is in progress.");
}

function draw(report, id) {
  return [
    h("section", { class: `card verdict ${report.verdict === "accepted" ? "good" : "bad"}` },
      h("div", {}, h("h2", {}, capital(report.verdict)), h("p", {}, sentence(report.reason))),
      h("button", { id: "download-report", type: "button", on: { click: (event) => download(id, event.currentTarget) } }, "Download as a page")),
    h("section", { class: "tiles still" }, figures(report)),
    findings(report),
    leftOut(report.left_out_keys ?? {}),
    h("section", { class: "card" }, h("h2", {}, "Training data"), h("div", { class: "bars" },
      bars("Messages in a row", merged(report.turns_per_row).map(({ low, high, rows }) => ({ label: low === high ? low : `${low}–${high}`, rows }))),
      bars("Tokens in a row, up to", merged(report.tokens_per_row).map(({ high, rows }) => ({ label: count(high + 1), rows, over: Math.min(high, report.tokens.longest_row) > report.tokens.context_window }))),
      bars("Rows in each split", Object.entries(report.splits).map(([label, { rows }]) => ({ label, rows }))))),
    h("section", { class: "card" }, h("h2", {}, "What was uploaded"), files(report.files),
      h("p", { class: "hint" }, "Fingerprint of the training data ", h("code", {}, report.fingerprint))),
  ];
}

function figures({ rows, rows_kept: kept, rows_dropped: dropped, tokens }) {
  const all = [[rows, "rows read"], [kept, "can be trained on"], [dropped, "left out"], [tokens.total, "tokens, estimated"], [tokens.truncated_rows, `rows over ${count(tokens.context_window)} tokens`]];
  return all.map(([value, name]) => h("div", { class: "tile" }, h("strong", {}, count(value)), h("span", { class: "tile-detail" }, name)));
}

function findings({ counts, issues }) {
  const codes = Object.keys(counts);
  if (codes.length === 0) return h("section", { class: "card" }, h("h2", {}, "Findings"), h("p", {}, "None."));
  const byCode = Object.groupBy(issues, ({ code }) => code);
  return KINDS.map(([letter, title, tone]) => {
    const found = codes.filter((code) => code.startsWith(letter));
    return found.length > 0 && h("section", { class: "card" },
      h("h2", {}, title, " ", h("small", {}, count(found.reduce((sum, code) => sum + counts[code], 0)))),
      found.map((code, at) => finding(code, counts[code], byCode[code] ?? [], tone, at < OPENED)));
  });
}

function leftOut(keys) {
  const names = Object.entries(keys);
  return names.length > 0 && h("section", { class: "card" }, h("h2", {}, "Keys left out"),
    h("p", { id: "left-out" }, "With their rows: ", names.map(([key, rows]) => `${key} (${count(rows)})`).join(", ")));
}

function finding(code, times, issues, tone, early) {
  const [first] = issues;
  return h("details", { id: `finding-${code}`, class: "finding", open: tone === "bad" && early },
    h("summary", {}, h("code", { class: `code ${tone}` }, code), h("span", { class: "first" }, first?.message ?? ""), h("span", { class: "times" }, count(times))),
    h("ul", {}, issues.map(({ file, line, message, excerpt }) => h("li", {},
      h("span", { class: "location" }, `${file ?? "dataset"}${line === null ? "" : `:${line}`}`),
      message !== first.message && h("span", {}, message),
      excerpt && h("pre", {}, excerpt)))),
    times > issues.length && h("p", { class: "hint" }, `and ${count(times - issues.length)} more`));
}

/** At most `MOST_BARS` buckets: those at the upper end become one. */
function merged(buckets) {
  if (buckets.length <= MOST_BARS) return buckets;
  const rest = buckets.slice(MOST_BARS - 1);
  return [...buckets.slice(0, MOST_BARS - 1), { low: rest[0].low, high: rest.at(-1).high, rows: rest.reduce((sum, { rows }) => sum + rows, 0) }];
}

function bars(title, all) {
  const [width, height, floor, top] = [320, 170, 144, 20];
  const most = Math.max(1, ...all.map(({ rows }) => rows));
  const room = width / Math.max(1, all.length);
  const thick = Math.min(room * 0.7, 56);
  const text = all.map(({ label, rows }) => `${label}: ${count(rows)}`).join("; ");
  return h("figure", {}, h("figcaption", {}, title),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${text}` },
      svg("line", { class: "grid", x1: 0, x2: width, y1: floor, y2: floor }),
      all.map(({ label, rows, over }, at) => {
        const [middle, tall] = [room * (at + 0.5), Math.max(rows ? 2 : 0, ((floor - top) * rows) / most)];
        return svg("g", {},
          svg("rect", { class: over ? "column-bar over" : "column-bar", x: middle - thick / 2, y: floor - tall, width: thick, height: tall, rx: 3 }),
          svg("text", { class: "value", x: middle, y: floor - tall - 6, "text-anchor": "middle" }, count(rows)),
          svg("text", { x: middle, y: floor + 17, "text-anchor": "middle" }, label));
      })));
}

function files(all) {
  const heads = ["File", "Lines", "Rows kept", "Size"].map((name) => h("th", { scope: "col" }, name));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Uploaded files" }, h("table", { class: "figures" }, h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, all.map(({ name, lines, rows, rows_kept: kept, bytes: size }) => h("tr", {},
      h("th", { scope: "row" }, name), h("td", {}, count(lines)), h("td", {}, `${count(kept)} of ${count(rows)}`), h("td", {}, bytes(size)))))));
}

async function download(id, button) {
  const page = await api.reportPage(id).catch((fault) => {
    button.after(h("p", { class: "note bad", role: "alert" }, fault.message));
  });
  if (!page) return;
  const address = URL.createObjectURL(page);
  h("a", { href: address, download: `${id}-report.html` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
