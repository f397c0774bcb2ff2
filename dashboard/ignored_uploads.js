// Uploads that open no run, each with its reason and what to do about it.

import { h } from "./dom.js";
import { count } from "./format.js";

/** Children of the section below the list of runs; nothing while every upload has its run. */
export function drawIgnored({ uploads, more }) {
  if (uploads.length === 0) return null;
  return h("div", { class: "note warn ignored" },
    h("h2", {}, "Uploads that open no run"),
    h("ul", {}, uploads.map((upload) => h("li", {},
      h("strong", {}, upload.path),
      h("p", { class: "words" }, `${upload.detail} ${upload.remedy}`)))),
    more > 0 && h("p", { class: "hint" }, `${count(more)} more are listed by the API.`));
}
