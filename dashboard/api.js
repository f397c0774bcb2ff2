// The app's HTTP API, with the key that lives in this tab only.

import { synchronize } from "./format.js";

const KEY = "finetune-on-upload.key";
const PATIENCE_MS = 20_000;
const SCORING_PATIENCE_MS = 240_000; // Azure's load balancer ends a request after 230 s of silence
const PART_PATIENCE_MS = 120_000;
const PAGES = 5; // of 1,000 runs; the list says so when there are more

/** An answer that is not a success; `status` is 0 when there was none. */
export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const known = new Map(); // path → { etag, data }: what the next conditional GET is about

export const savedKey = () => sessionStorage.getItem(KEY);

export function saveKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
  known.clear();
}

/** GET some JSON; the very same object again while it has not changed. */
export async function get(path) {
  const before = known.get(path);
  const answer = await send("GET", path, { headers: before ? { "If-None-Match": before.etag } : {} });
  if (answer.status === 304) return before.data;
  const data = await answer.json();
  const etag = answer.headers.get("ETag");
  if (etag) known.set(path, { etag, data });
  return data;
}

/** The runs of a dataset, in order of their ids. */
export const runsOf = async (dataset) => (await runs(dataset)).runs;

/** Every run, newest knowledge, or those of a dataset; `more` when there are too many to show. */
export async function runs(dataset = "") {
  const of = dataset && `&dataset=${encodeURIComponent(dataset)}`;
  const found = [];
  let cursor = null;
  for (let page = 0; page < PAGES; page += 1) {
    const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const answer = await get(`runs?limit=1000${of}${after}`);
    found.push(...answer.runs);
    cursor = answer.next;
    if (!cursor) break;
  }
  return { runs: found, more: cursor !== null };
}

/** By dataset, the run whose model its name means now. */
export const currentModels = async () => new Map((await get("datasets")).datasets.map(({ dataset, current }) => [dataset, current]));

/** A dataset's current model with its history; null if none was ever decided upon. */
export const dataset = (name) => get(`datasets/${encodeURIComponent(name)}`).catch((fault) => {
  if (fault.status === 404) return null;
  throw fault;
});
export const promote = (name, body) => change("POST", `datasets/${encodeURIComponent(name)}/promote`, body);
export const rollBack = (name, body) => change("POST", `datasets/${encodeURIComponent(name)}/rollback`, body);

/** How many runs train and are live at once, of how many that may. */
export const slots = () => get("slots");

/** What validation will say of a dataset that begins with these rows. */
export const checkRows = (rows, policy) => send("POST", `uploads/check?row_policy=${policy}`, { headers: { "Content-Type": "application/octet-stream" }, body: rows }).then((answer) => answer.json());

/** What a run with these options would train, or an ApiError with what is wrong with them. */
export const preflight = (options) => change("POST", "preflight", options);

/** Send a part of a file of a dataset's. */
export const sendPart = (dataset, file, part, body, signal) => send("PUT", `uploads/${encodeURIComponent(dataset)}/${encodeURIComponent(file)}/${part}`, {
  headers: { "Content-Type": "application/octet-stream" }, body, signal: AbortSignal.any([signal, AbortSignal.timeout(PART_PATIENCE_MS)]),
});

/** Make what was sent a dataset, which opens a run. */
export const completeUpload = (dataset, files, options) => change("POST", `uploads/${encodeURIComponent(dataset)}`, { files, options });

/** The uploads that open no run, the newest first. */
export const ignoredUploads = () => get("uploads?ignored=true");

export const run = (id) => get(`runs/${encodeURIComponent(id)}`);
export const report = (id) => get(`runs/${encodeURIComponent(id)}/report`);

/** The report as a page of its own. */
export async function reportPage(id) {
  const answer = await send("GET", `runs/${encodeURIComponent(id)}/report`, { headers: { Accept: "text/html" } });
  return answer.blob();
}

export const cancel = (id) => change("POST", `runs/${encodeURIComponent(id)}/cancel`);
export const retry = (id) => change("POST", `runs/${encodeURIComponent(id)}/retry`);
export const acknowledge = (id) => change("POST", `runs/${encodeURIComponent(id)}/acknowledge`);
export const start = (id) => change("POST", `runs/${encodeURIComponent(id)}/start`, {});
export const remove = (endpoint) => change("DELETE", `endpoints/${encodeURIComponent(endpoint)}`);
export const extend = (endpoint, hours) => change("POST", `endpoints/${encodeURIComponent(endpoint)}/extend`, { hours });

/**
 * The reply of a live model to a conversation.
 * @param {(text: string) => void} said told of all that the model has said so far, whenever it says more
 */
export async function chat(endpoint, messages, parameters, signal, said) {
  const path = `endpoints/${encodeURIComponent(endpoint)}/score`;
  const patience = new AbortController();
  let waiting;
  const wait = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => patience.abort(new DOMException("The model says nothing more.", "TimeoutError")), SCORING_PATIENCE_MS);
  };
  wait();
  try {
    const body = JSON.stringify({ messages, ...parameters, stream: true });
    const headers = { Accept: "text/event-stream", "Content-Type": "application/json" };
    const answer = await send("POST", path, { headers, body, signal: AbortSignal.any([signal, patience.signal]) });
    return await readReply(answer, said, wait);
  } catch (fault) {
    if (fault.name === "TimeoutError") throw new ApiError(0, "Unreachable", "The app did not answer in time.");
    if (fault instanceof TypeError) throw new ApiError(0, "Unreachable", "The connection closed before the answer was complete.");
    throw fault;
  } finally {
    clearTimeout(waiting);
  }
}

async function readReply(answer, said, heard) {
  let text = "";
  let pending = "";
  for await (const chunk of chunks(answer.body.pipeThrough(new TextDecoderStream()))) {
    heard();
    const events = (pending + chunk).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return text;
      const { choices, error } = JSON.parse(data);
      if (error) throw new ApiError(502, error.code, error.message);
      const more = choices[0]?.delta.content;
      if (more) said(text += more);
    }
  }
  throw new ApiError(502, "StreamBroken", "The model’s server closed the stream before the reply was complete.");
}

async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function change(method, path, body, signal) {
  const json = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await send(method, path, { ...json, signal });
  return answer.json();
}

async function send(method, path, options = {}) {
  const key = savedKey();
  const headers = { Accept: "application/json", ...(key ? { "x-functions-key": key } : {}), ...options.headers };
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      method,
      headers,
      cache: "no-store",
      signal: options.signal ?? AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (fault) {
    if (options.signal?.aborted && fault.name === "AbortError") throw fault;
    throw new ApiError(0, "Unreachable", fault.name === "TimeoutError" ? "The app did not answer in time." : "The app cannot be reached.");
  }
  const date = answer.headers.get("Date");
  if (date) synchronize(Date.parse(date));
  if (answer.ok || answer.status === 304) return answer;
  throw await errorOf(answer);
}

async function errorOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  const detail = problem.detail ?? problem.title ?? `The app answered ${answer.status} ${answer.statusText}`.trim();
  return new ApiError(answer.status, problem.code ?? String(answer.status), detail);
}
