// The app's HTTP API, with the key that lives in this tab only.

import { synchronize } from "./format.js";

const KEY = "finetune-on-upload.key";
const PATIENCE_MS = 20_000;
const SCORING_PATIENCE_MS = 240_000; // Azure's load balancer ends a request after 230 s of silence
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

/** Every run, newest knowledge; `more` when there are too many to show. */
export async function runs() {
  const found = [];
  let cursor = null;
  for (let page = 0; page < PAGES; page += 1) {
    const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const answer = await get(`runs?limit=1000${after}`);
    found.push(...answer.runs);
    cursor = answer.next;
    if (!cursor) break;
  }
  return { runs: found, more: cursor !== null };
}

export const run = (id) => get(`runs/${encodeURIComponent(id)}`);
export const report = (id) => get(`runs/${encodeURIComponent(id)}/report`);

/** The report as a page of its own. */
export async function reportPage(id) {
  const answer = await send("GET", `runs/${encodeURIComponent(id)}/report`, { headers: { Accept: "text/html" } });
  return answer.blob();
}

export const cancel = (id) => change("POST", `runs/${encodeURIComponent(id)}/cancel`);
export const retry = (id) => change("POST", `runs/${encodeURIComponent(id)}/retry`);
export const remove = (endpoint) => change("DELETE", `endpoints/${encodeURIComponent(endpoint)}`);
export const extend = (endpoint, hours) => change("POST", `endpoints/${encodeURIComponent(endpoint)}/extend`, { hours });

/** The reply of a live model to a conversation. */
export async function chat(endpoint, messages, parameters, signal) {
  const path = `endpoints/${encodeURIComponent(endpoint)}/score`;
  const patience = AbortSignal.any([signal, AbortSignal.timeout(SCORING_PATIENCE_MS)]);
  return replyOf(await change("POST", path, { messages, ...parameters }, patience));
}

// Chat models answer with {"output": text}, a list of those, or the text itself, by their packaging.
function replyOf(answer) {
  if (typeof answer === "string") return answer.trim();
  if (Array.isArray(answer)) return answer.length > 0 ? replyOf(answer[0]) : "";
  if (answer === null || typeof answer !== "object") return "";
  return replyOf(answer.output ?? answer.generated_text ?? answer.content ?? Object.values(answer)[0] ?? "");
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
