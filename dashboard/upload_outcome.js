// What came of checking or sending an upload.

import { h } from "./dom.js";
import { count } from "./format.js";

const MOST_ISSUES = 8;

/**
 * Children of the part below the form.
 * @param {object} state `failed`: why not; `checking`; `rows` and `plan`, what the app found, of a `partial` or `unread`
 *   file; `sent`, a share from 0 to 1; `opening`, the run to come
 */
export function drawOutcome({ checking, failed, rows, plan, partial, unread, sent, opening }) {
  if (failed) return h("div", { class: "note bad", role: "alert" }, h("p", { class: "words" }, failed));
  if (checking) return h("p", { class: "note" }, "The app checks the rows and the options …");
  if (opening) return h("p", { class: "note" }, "Uploaded. Run ", h("code", {}, opening), " opens …");
  if (sent !== undefined) {
    const percent = Math.floor(sent * 100);
    return h("div", { class: "note" }, h("label", { for: "sent" }, `Uploading: ${percent} %`), h("progress", { id: "sent", max: 100, value: percent }));
  }
  if (!plan) return null;
  return [
    unread && h("p", { class: "note" }, "The page cannot look into this file; the run validates its rows before training starts."),
    rows && verdict(rows, partial),
    h("p", { class: "hint planned" }, `It trains ${plan.base_model_name}, version ${plan.base_model_version}, on ${plan.compute_size}, and serves on ${plan.instance_type}.`),
  ];
}

function verdict({ verdict: said, reason, rows, rows_kept: kept, tokens, issues }, partial) {
  const good = said === "accepted";
  const fine = partial ? `The first ${count(rows)} rows are fine` : rows === 1 ? "The row is fine" : `${count(rows)} rows are fine`;
  const rest = partial ? " The run validates the rest before training starts." : "";
  return h("div", { class: `note ${good ? "good" : "bad"}` },
    h("h2", {}, good ? fine : "These rows cannot be trained on"),
    h("p", { class: "words" }, good ? `${count(kept)} can be trained on, with about ${count(tokens)} tokens.${rest}` : reason),
    issues.length > 0 && h("ul", { class: "first-issues" }, issues.slice(0, MOST_ISSUES).map(({ code, line, message }) =>
      h("li", {}, h("code", {}, code), line !== null && h("b", {}, ` line ${count(line)}`), `: ${message}`))));
}
