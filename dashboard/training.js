// Training under way: where the job is, how far it has come, and when it will be through.

import { lossCurves } from "./chart.js";
import { h } from "./dom.js";
import { count, decimal, hours, moment, since, until } from "./format.js";
import { jobWords, waitingSentence } from "./stages.js";

/** What the card needs of a run; null once there is nothing to follow. */
export function trainingOf({ stage, job, job_submitted_at: submitted, waiting_for: waiting, quote, history, progress }) {
  if (stage !== "training") return null;
  const began = submitted ?? history.findLast((entry) => entry.stage === "training").at;
  return { status: job?.status ?? "NotStarted", began, waiting, usual: quote?.training_hours ?? null, progress: progress ?? null };
}

/** Children of the card. */
export function drawTraining(state) {
  if (state === null) return null;
  const { status, began, waiting, usual, progress } = state;
  return [
    h("h2", {}, "Training"),
    h("p", { id: "job-state" }, waiting ? waitingSentence(waiting) : `The job is ${jobWords(status)}.`),
    progress && bar(progress),
    h("dl", { class: "progress-facts" }, [
      ["Since", [moment(began), ", for ", since(began)]],
      ...progressRows(progress),
      !progress?.ends_at && usual && ["Usually takes", `${hours(usual.likely)} (${hours(usual.low)} to ${hours(usual.high)}), by ${usual.runs} earlier ${usual.runs === 1 ? "run" : "runs"}`],
      !progress?.ends_at && usual && !waiting && ["Ends about", [until(endOf(began, usual)), " from now"]],
    ].filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    progress?.diverged && h("p", { class: "note warn" }, `Training goes on, but ${progress.diverged}.`),
    progress && lossCurves({ history: { loss: progress.train_losses, eval_loss: progress.eval_losses }, latest: {}, eval_loss: progress.eval_loss }),
  ];
}

const endOf = (began, usual) => new Date(Date.parse(began) + usual.likely * 3_600_000).toISOString();

function bar({ step, steps }) {
  return steps && h("progress", { max: steps, value: Math.min(step, steps), "aria-label": "Training steps done" });
}

function progressRows(progress) {
  if (!progress) return [];
  const { step, steps, epoch, epochs, train_loss: loss, eval_loss: evaluation, ends_at: ends } = progress;
  return [
    step !== null && ["Step", `${count(step)}${steps ? ` of ${count(steps)}` : ""}`],
    epoch !== null && ["Epoch", `${count(Math.round(epoch * 100) / 100)}${epochs ? ` of ${count(epochs)}` : ""}`],
    loss !== null && ["Training loss", decimal(loss)],
    evaluation !== null && ["Evaluation loss", decimal(evaluation)],
    ends && ["Ends about", [until(ends), " from now"]],
  ];
}
