// The stages of a run: their order, colour and description.

import { capital } from "./format.js";

/** The stages of a successful run, in order. */
export const PATH = ["received", "validated", "training", "trained", "registered", "deploying", "live", "deleting", "stopped"];

const TO_LIVE = PATH.indexOf("live");
const ENDED = new Set(["deleted", "rejected", "duplicate", "failed", "canceled"]);
const TONES = { live: "good", failed: "bad", rejected: "bad", deleting: "warn", duplicate: "calm", stopped: "warn", deleted: "calm", canceled: "calm" };

const MEANINGS = {
  received: "The upload has arrived. Validation comes next.",
  validated: "The dataset is valid and its snapshot is stored. Training starts next.",
  training: "A job on Azure ML trains the model.",
  trained: "The job completed. The app reads its metrics and registers the model.",
  registered: "The model is registered. The run waits for an endpoint slot.",
  deploying: "Azure ML creates the endpoint. A smoke test runs before it gets traffic.",
  live: "The endpoint answers.",
  deleting: "The app is removing job and endpoint until Azure ML confirms that both are gone.",
  stopped: "The trained model is kept, and nothing of this run costs money. It can be started again.",
  deleted: "Endpoint deleted. Nothing is running.",
  rejected: "The upload or its run.json cannot be used. Nothing was started on Azure ML.",
  duplicate: "An earlier run has the same rows, parameters and base model.",
  failed: "The run failed. Nothing is running.",
  canceled: "The run was canceled. Nothing is running.",
};

const LONG_TEARDOWN = {
  what: "The teardown has lasted for over an hour.",
  hint: "The app keeps trying. Job or endpoint may cost money until the teardown is complete.",
};
const OVERDUE = {
  what: "The run has been due for over an hour, and the app has not advanced it.",
  hint: "The app is not running, or cannot write the run’s record. After its deadline, job and endpoint are removed.",
};

/** Why a run that is not suspended needs a person, or null. */
export function lastingOf({ needs_attention, stage }) {
  if (!needs_attention || atRest(stage)) return null;
  return stage === "deleting" ? LONG_TEARDOWN : OVERDUE;
}

/** Why a run ended, as a sentence: the record has a code and words, or a few words. */
export function endSentence(stage, reason) {
  if (reason === "requested" || reason === "canceled") return stage === "canceled" ? "Canceled on request." : "Deleted on request.";
  return sentence(reason.replace(/^[A-Z][A-Za-z0-9]+: (?=\S)/, ""));
}

/** A few words of the record as a sentence; one that begins with a name in code keeps it as it is. */
export const sentence = (words) => `${/^\w+_/.test(words) ? words : capital(words)}${/[.!?…]$/.test(words) ? "" : "."}`;

const JOBS = {
  NotStarted: "submitted", Queued: "waiting for nodes", Provisioning: "waiting for nodes", Preparing: "preparing its nodes", Starting: "starting",
  Running: "running", Finalizing: "finishing", CancelRequested: "being canceled", Completed: "completed", Failed: "failed", Canceled: "canceled", NotResponding: "not responding",
};

/** A job's status in words; one that is new stays as Azure ML writes it. */
export const jobWords = (status) => (Object.hasOwn(JOBS, status) ? JOBS[status] : status);

/** What failed, in words, by the stage that it failed in. */
export function failureTitle({ code, stage }) {
  if (Object.hasOwn(FAILURES, code)) return FAILURES[code];
  return Object.hasOwn(FAILED, stage) ? FAILED[stage] : "Something failed";
}

const FAILURES = {
  DatasetRejected: "The dataset cannot be trained on", InvalidOptions: "The options in run.json cannot be used", JobCanceled: "The job was canceled in Azure ML",
  EvalLossTooHigh: "The evaluation loss is too high", EvalLossMissing: "Training logged no evaluation loss", DeadlineExceeded: "It took too long", UploadReplaced: "The upload was replaced",
};
const FAILED = {
  received: "Validation failed", validated: "Training could not be started", training: "Training failed", trained: "The model could not be registered",
  registered: "The deployment could not be started", deploying: "The deployment failed", live: "The endpoint failed", deleting: "The teardown has trouble",
};

/** What a run waits for, as a sentence; the app names a service's code and words, or a few words of its own. */
export function waitingSentence(waiting) {
  const [, words] = waiting.match(/^[A-Z][A-Za-z0-9]+: (.+)$/s) ?? [];
  return words ? `Tried again soon: ${words}` : `Waiting for ${waiting.replace(/, which is \w+$/, "")}.`;
}

/** Whether nothing happens unless somebody asks for it. */
export const atRest = (stage) => ENDED.has(stage) || stage === "stopped";
export const isMoving = (stage) => !atRest(stage) && stage !== "live" && stage !== null;
export const beforeLive = (stage) => PATH.indexOf(stage) >= 0 && PATH.indexOf(stage) < TO_LIVE;
export const meaning = (stage) => MEANINGS[stage] ?? "The record of this run cannot be read.";
export const nameOf = (stage) => stage ?? "unreadable";

/** `good`, `bad`, `warn`, `active` or `calm`: how a stage is coloured. */
export function tone(stage) {
  if (stage === null) return "bad";
  return TONES[stage] ?? "active";
}

/** Progress towards a live endpoint, from 0 to 1. */
export function progress(stage) {
  if (["deleting", "stopped", "deleted"].includes(stage)) return 1;
  return Math.max(0, PATH.indexOf(stage)) / TO_LIVE;
}

/** The overview's group of a listed run. */
export function groupOf(entry) {
  if (entry.needs_attention) return "attention";
  if (entry.stage === "live") return "live";
  return atRest(entry.stage) ? "ended" : "moving";
}

/** The newest first. */
export const byOpening = (one, other) => (other.opened_at ?? "").localeCompare(one.opened_at ?? "");

const ORDER = ["attention", "moving", "live", "ended"];

/** Runs that need attention first, then runs in progress, endpoints by remaining time, ended runs. */
export function byUrgency(one, other) {
  const [group, otherGroup] = [groupOf(one), groupOf(other)];
  if (group !== otherGroup) return ORDER.indexOf(group) - ORDER.indexOf(otherGroup);
  if (group === "live") return Date.parse(one.expires_at) - Date.parse(other.expires_at);
  const key = group === "ended" ? "entered_at" : "opened_at";
  return (other[key] ?? "").localeCompare(one[key] ?? "") || one.run_id.localeCompare(other.run_id);
}
