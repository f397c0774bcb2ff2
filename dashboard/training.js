// Training under way: where the job is, how far it has come, and when it will be through.

import { lossCurves } from "./chart.js";
import { h } from "./dom.js";
import { count, decimal, hours, moment, since, until } from "./format.js";
import { jobWords, sentence, waitingSentence } from "./stages.js";

/** What the card needs of a run; null once there is nothing to follow. */
export function trainingOf({ stage, job, job_submitted_at: submitted, waiting_for: waiting, quote, history, progress }) {
  if (stage !== "training") return null;
  const began = progress?.began ?? submitted ?? history.findLast((entry) => entry.stage === "training").at;
  return { status: job?.status ?? "NotStarted", began, waiting, usual: quote?.training_hours ?? null, progress: progress ?? null };
}

/** Children of the card. */
export function drawTraining(state) {
  if (state === null) return null;
  const { status, began, waiting, usual, progress } = state;
  const guessed = usual && !progress?.ends_at;
  return [
    h("h2", {}, "Training"),
    h("p", { id: "job-state" }, waiting ? waitingSentence(waiting) : `The job is ${jobWords(status)}.`),
    progress?.diverged && h("p", { class: "note warn" }, sentence(progress.diverged)),
    progress && bar(progress),
    h("dl", { class: "progress-facts" }, [
      ["Since", [moment(began), ", for ", since(began)]],
      ...(progress ? progressRows(progress) : []),
      guessed && ["Usually takes", `${hours(usual.likely)} (${hours(usual.low)} to ${hours(usual.high)}), by ${usual.runs} earlier ${usual.runs === 1 ? "run" : "runs"}`],
      guessed && !waiting && ["Ends about", [until(endOf(began, usual)), " from now"]],
    ].filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    progress && lossCurves({ history: { loss: progress.train_losses, eval_loss: progress.eval_losses }, latest: { step: progress.step ?? 0 }, eval_loss: null }),
  ];
}

const endOf = (began, usual) => new Date(Date.parse(began) + usual.likely * 3_600_000).toISOString();

function bar({ step, steps, epoch, epochs }) {
  const [done, all] = step !== null && steps !== null ? [step, steps] : [epoch, epochs];
  return done !== null && all !== null && h("progress", { max: all, value: Math.min(done, all), "aria-label": "How far training is" });
}

function progressRows({ step, steps, epoch, epochs, train_loss: train, eval_loss: evaluation, ends_at: ends, read_at: read }) {
  const of = (done, all) => `${done}${all === null ? "" : ` of ${all}`}`;
  return [
    step !== null && ["Step", of(count(step), steps === null ? null : count(steps))],
    epoch !== null && ["Epoch", of(decimalOf(epoch), epochs === null ? null : decimalOf(epochs))],
    train !== null && ["Training loss", decimal(train)],
    evaluation !== null && ["Evaluation loss", decimal(evaluation)],
    ends && ["Ends about", [until(ends), " from now"]],
    ["As of", [since(read), " ago"]],
  ];
}

const decimalOf = (value) => String(Number(value.toFixed(2)));
