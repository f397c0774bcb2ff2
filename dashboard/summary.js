// A run's first page: timeline, training while it lasts, curves, evaluation, and the facts. No card is empty.

import { lossCurves } from "./chart.js";
import { h, Part } from "./dom.js";
import { drawEvaluation } from "./evaluation.js";
import { drawFacts, factsOf } from "./facts.js";
import { today } from "./format.js";
import { timeline } from "./timeline.js";
import { drawTraining, trainingOf } from "./training.js";
import { useItCard } from "./use_it.js";

/** What to show of a run, and where. */
export function summaryPage() {
  const parts = [
    [new Part(h("section", { class: "card span" }), (run) => [h("h2", {}, "Stages"), timeline(run)]), ({ history, stage, outcome }) => ({ history, stage, outcome, today: today() })],
    [new Part(h("section", { class: "card" }), drawTraining), trainingOf],
    [new Part(h("section", { class: "card" }), drawLoss), ({ metrics }) => metrics],
    [new Part(h("section", { class: "card" }), drawEvaluation), ({ smoke_test: tests, evaluation, promotion }) => ({ tests, evaluation, promotion })],
    [new Part(h("section", { class: "card facts" }), drawFacts), factsOf],
  ];
  const [stages, training, loss, evaluation, facts] = parts.map(([part]) => part.element);
  const useIt = useItCard();
  const element = h("div", { class: "grid" }, stages, useIt.element, h("div", { class: "column" }, training, loss, evaluation), facts);
  return { element, show };

  function show(run) {
    parts.forEach(([part, pick]) => {
      part.show(pick(run));
      part.element.hidden = part.element.childElementCount === 0;
    });
    element.classList.toggle("single", [training, loss, evaluation].every((card) => card.hidden));
    useIt.show(run);
  }
}

function drawLoss(metrics) {
  const curves = metrics && lossCurves(metrics);
  return curves && [h("h2", {}, "Loss ", h("small", {}, "nats per token")), curves];
}
