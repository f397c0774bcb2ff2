// Text to take along: a button that copies, and blocks of code that have one.

import { announce, h } from "./dom.js";

/**
 * A button that copies a text.
 * @param {string} what its name, for people who listen
 * @param {() => string} text
 */
export function copyButton(what, text, id) {
  const copy = async (event) => {
    const button = event.currentTarget;
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
      announce(`Copied the ${what}`);
    } catch {
      button.textContent = "Select and copy it by hand"; // the browser lets no page write to the clipboard here
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  return h("button", { id, class: "copy", type: "button", "aria-label": `Copy the ${what}`, on: { click: copy } }, "Copy");
}

/** Code in a block with its button. */
export function codeBlock(code, what = "code") {
  return h("div", { class: "snippet" }, h("pre", { tabindex: "0", "aria-label": "Code" }, h("code", {}, code)), copyButton(what, () => code));
}

/** A text with its fenced blocks (``` or ~~~, as Markdown has them) as blocks of code; all else stays as it is. */
export function withCodeBlocks(text) {
  const parts = [];
  let code = null;
  let fence = "";
  let lines = [];
  const end = () => {
    const content = lines.join("\n");
    if (code !== null) parts.push(codeBlock(content));
    else if (content.trim()) parts.push(h("div", { class: "said" }, content.replace(/^\n+|\n+$/g, "")));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const [, mark] = line.match(/^\s{0,3}(`{3,}|~{3,})/) ?? [];
    const opens = code === null && mark;
    const closes = code !== null && mark && mark[0] === fence[0] && mark.length >= fence.length && !line.trim().slice(mark.length);
    if (!opens && !closes) {
      lines.push(line);
      continue;
    }
    end();
    [code, fence] = opens ? [line, mark] : [null, ""];
  }
  end();
  return parts;
}
