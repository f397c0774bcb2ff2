// The stages of a run, as it came through them.

import { h } from "./dom.js";
import { capital, duration, moment, since, stamp } from "./format.js";
import { atRest, meaning, PATH, tone } from "./stages.js";

/** A list of stages: those behind with how long they took, the present one, those to come. */
export function timeline({ history, stage, outcome }) {
  const past = history.map((entry, at) => step(entry, history[at + 1], at === history.length - 1));
  const ahead = atRest(stage) ? [] : toCome(stage, outcome);
  return h("ol", { class: "timeline" }, past, ahead.map((name) =>
    h("li", { class: "ahead" }, h("i", { class: "mark", "aria-hidden": "true" }), h("b", {}, capital(name)), h("span", { class: "unseen" }, " to come"))));
}

function step({ stage, at }, next, last) {
  const current = last && !atRest(stage);
  const took = next ? (Date.parse(next.at) - Date.parse(at)) / 1000 : null;
  return h("li", { class: `${last ? tone(stage) : "past"} ${current ? "current" : ""}`, "aria-current": last ? "step" : null },
    h("i", { class: "mark", "aria-hidden": "true" }),
    h("b", { title: meaning(stage) }, capital(stage)),
    h("time", { datetime: at, title: moment(at) }, stamp(at)),
    current ? h("span", { class: "took" }, "for ", since(at)) : took !== null && h("span", { class: "took" }, h("span", { class: "unseen" }, "took "), duration(took)));
}

function toCome(stage, outcome) {
  if (stage === "deleting") return [outcome ?? "stopped"];
  return PATH.slice(PATH.indexOf(stage) + 1).filter((name) => name !== "deleting");
}
