// What stages mean to people: their order, tone and words.

/** The way of a run that goes well. */
export const PATH = ["received", "validated", "training", "trained", "registered", "deploying", "live", "deleting", "deleted"];

const TO_LIVE = PATH.indexOf("live");
const ENDED = new Set(["deleted", "rejected", "duplicate", "failed", "canceled"]);
const TONES = { live: "good", failed: "bad", rejected: "bad", deleting: "warn", duplicate: "calm", stopped: "warn", deleted: "calm", canceled: "calm" };

const MEANINGS = {
  received: "The upload is known and about to be checked.",
  validated: "The dataset is valid and its snapshot is stored. Training starts next.",
  training: "A job on Azure ML trains the model.",
  trained: "The job is complete; its metrics and model are being taken.",
  registered: "The model is registered and waits for its turn to have an endpoint.",
  deploying: "The endpoint comes up and is tried out before it gets traffic.",
  live: "The endpoint answers.",
  deleting: "Job and endpoint are being taken away, until both are seen to be gone.",
  stopped: "The trained model is kept, and nothing of this run costs money. It can be started again.",
  deleted: "Endpoint deleted. Nothing of this run costs money.",
  rejected: "The upload cannot be used. Nothing was asked of Azure ML.",
  duplicate: "An earlier run has the same rows, parameters and base model.",
  failed: "The run failed. Nothing that costs money is left.",
  canceled: "It was stopped on request. Nothing that costs money is left.",
};

const LONG_TEARDOWN = {
  what: "Its teardown has lasted for over an hour.",
  hint: "It goes on by itself, and costs money until it is done.",
};
const OVERDUE = {
  what: "It has been due for over an hour, and nothing has advanced it.",
  hint: "The app stands still, or cannot write the run’s record. Past its deadline, what the run has is taken away.",
};

/** Why a run that nobody suspended needs a person, or null. */
export function lastingOf({ needs_attention, stage }) {
  if (!needs_attention || stage === "stopped") return null;
  return stage === "deleting" ? LONG_TEARDOWN : OVERDUE;
}

export const isOver = (stage) => ENDED.has(stage);
export const isMoving = (stage) => !ENDED.has(stage) && stage !== "live" && stage !== "stopped" && stage !== null;
export const beforeLive = (stage) => PATH.indexOf(stage) >= 0 && PATH.indexOf(stage) < TO_LIVE;
export const meaning = (stage) => MEANINGS[stage] ?? "The record of this run cannot be read.";
export const nameOf = (stage) => stage ?? "unreadable";

/** `good`, `bad`, `warn`, `active` or `calm`: how a stage is coloured. */
export function tone(stage) {
  if (stage === null) return "bad";
  return TONES[stage] ?? "active";
}

/** How much of the way to a live endpoint lies behind, from 0 to 1. */
export function progress(stage) {
  if (["deleting", "stopped", "deleted"].includes(stage)) return 1;
  return Math.max(0, PATH.indexOf(stage)) / TO_LIVE;
}

/** Which of the overview's groups a listed run is in. */
export function groupOf(entry) {
  if (entry.needs_attention) return "attention";
  if (entry.stage === "live") return "live";
  return isOver(entry.stage) || entry.stage === "stopped" ? "ended" : "moving";
}

const ORDER = ["attention", "moving", "live", "ended"];

/** What needs somebody first, then what moves, then endpoints by the time they have left, then the past. */
export function byUrgency(one, other) {
  const [group, otherGroup] = [groupOf(one), groupOf(other)];
  if (group !== otherGroup) return ORDER.indexOf(group) - ORDER.indexOf(otherGroup);
  if (group === "live") return Date.parse(one.expires_at) - Date.parse(other.expires_at);
  const key = group === "ended" ? "entered_at" : "opened_at";
  return (other[key] ?? "").localeCompare(one[key] ?? "") || one.run_id.localeCompare(other.run_id);
}
