// Files on their way: their first rows to be checked, and their parts to be sent.

import * as api from "./api.js";

const HEAD_BYTES = 1_000_000; // the app takes 1 MiB to check
const PART_BYTES = 4 * 1024 * 1024; // and 4 MiB as a part
const ATTEMPTS = 4;
const ENDINGS = [".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst", ".ndjson.zst"];
const PASSING = new Set([0, 408, 429, 502, 503, 504]);

/** The ending that says how a file is written, or null for one that is not JSON Lines. */
export const endingOf = (name) => ENDINGS.filter((ending) => name.toLowerCase().endsWith(ending)).sort((one, other) => other.length - one.length)[0] ?? null;

/** A name for the dataset in a file of that name. */
export const datasetOf = (name) => name.slice(0, name.length - (endingOf(name) ?? "").length);

/**
 * The whole lines that a file begins with, and whether there are more; null if this browser cannot read them.
 * @param {File} file
 */
export async function headOf(file) {
  const name = file.name.toLowerCase();
  if (name.endsWith(".zst")) return null;
  const stream = name.endsWith(".gz") ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
  const reader = stream.getReader();
  const pieces = [];
  let size = 0;
  let done = false;
  while (size < HEAD_BYTES && !done) {
    const part = await reader.read();
    done = part.done;
    if (done) break;
    pieces.push(part.value);
    size += part.value.length;
  }
  reader.cancel().catch(() => {});
  const all = await new Blob(pieces).slice(0, HEAD_BYTES).arrayBuffer();
  if (done && size <= HEAD_BYTES) return { rows: all, partial: false };
  const end = new Uint8Array(all).lastIndexOf(10) + 1;
  return end > 0 ? { rows: all.slice(0, end), partial: true } : null; // its first line alone is longer
}

/**
 * Send files part by part; what fails for the moment is tried again.
 * @param {string} dataset
 * @param {{name: string, file: File}[]} files as they are to be called
 * @param {(share: number) => void} told how much has been sent, from 0 to 1
 * @returns what `completeUpload` takes
 */
export async function sendFiles(dataset, files, told, signal) {
  const id = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  let sent = 0;
  const made = [];
  for (const { name, file } of files) {
    const parts = [];
    for (let start = 0; start < file.size; start += PART_BYTES) {
      const body = file.slice(start, start + PART_BYTES);
      const part = `${id}-${String(parts.length).padStart(5, "0")}`;
      await persistently(() => api.sendPart(dataset, name, part, body, signal), signal);
      parts.push(part);
      sent += body.size;
      told(sent / total);
    }
    made.push({ name, parts });
  }
  return made;
}

async function persistently(send, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (fault) {
      if (signal.aborted || attempt === ATTEMPTS || !PASSING.has(fault.status)) throw fault;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}
