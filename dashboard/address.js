// What the part of the address behind the # names: #/, #/runs/<id>, …/report, …/chat, #/datasets, #/datasets/<name>, #/upload.

const LISTS = new Set(["", "datasets"]);

let list = "#/"; // the list that was looked at last, as it was filtered and sorted

/** @returns {{path: string[], query: URLSearchParams}} the decoded parts of the path, none where they cannot be decoded */
export function readAddress() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const found = { path: decoded(path), query: new URLSearchParams(query) };
  if (LISTS.has(path)) list = location.hash || "#/";
  return found;
}

function decoded(path) {
  try {
    return path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return []; // a percent sign that encodes nothing
  }
}

/** Write what is shown of a list into the address, so that it can be shared, and found again. */
export function keepQuery(values) {
  const given = Object.entries(values).filter(([, value]) => value);
  const [path] = location.hash.split("?");
  const query = new URLSearchParams(given).toString();
  list = `${path || "#/"}${query && `?${query}`}`;
  history.replaceState(null, "", list);
}

export const listAddress = () => list;
export const runAddress = (id, page = "") => `#/runs/${encodeURIComponent(id)}${page && `/${page}`}`;
export const datasetAddress = (name) => `#/datasets/${encodeURIComponent(name)}`;
