// Talking with a live model, turn after turn. What is said stays in this page.

import * as api from "./api.js";
import { h, Part } from "./dom.js";
import { beforeLive } from "./stages.js";

const conversations = new Map(); // run id → turns, so that looking at another page ends no conversation
const SUGGESTIONS = 3;

/** The page at `#/runs/<id>/chat`. */
export function chatPage(id) {
  const turns = conversations.get(id) ?? [];
  conversations.set(id, turns);
  let endpoint = null;
  let asking = null;

  const log = h("div", { class: "log", role: "log", "aria-label": "Conversation", tabindex: "0" });
  const suggestions = new Part(h("div", { class: "suggestions" }), (prompts) => prompts.map((text, at) =>
    h("button", { id: `suggestion-${at}`, type: "button", on: { click: () => ask(text) } }, text)));
  const message = h("textarea", { id: "message", rows: "2", placeholder: "Write to the model …", "aria-label": "Your message" });
  const send = h("button", { id: "send", class: "primary", type: "submit" }, "Send");
  const stop = h("button", { id: "stop", type: "button", hidden: true, on: { click: () => asking?.abort() } }, "Stop");
  const clear = h("button", { id: "start-over", class: "quiet", type: "button", on: { click: () => { asking?.abort(); turns.length = 0; draw(); message.focus(); } } }, "Start over");
  const settings = choices();
  const composer = h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); ask(message.value.trim()); } } },
    message, h("div", { class: "buttons" }, clear, h("span", { class: "hint" }, "Enter sends, Shift + Enter starts a line"), stop, send));
  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  const talk = h("section", { class: "card talk" }, log, suggestions.element, composer);
  const room = h("div", { class: "chat" }, talk, settings.element);
  const closed = new Part(h("div"), (stage) => stage && h("p", { class: "card empty" },
    beforeLive(stage) ? "The model can be asked as soon as its endpoint is live." : "The endpoint is gone, and the model with it. It is still registered in Azure ML."));

  async function ask(text) {
    if (!text || asking || !endpoint) return;
    message.value = "";
    while (turns.at(-1)?.failed) turns.pop();
    turns.push({ role: "user", content: text });
    asking = new AbortController();
    draw();
    try {
      const system = settings.system() ? [{ role: "system", content: settings.system() }] : [];
      const said = turns.map(({ role, content }) => ({ role, content }));
      const reply = await api.chat(endpoint, [...system, ...said], settings.parameters(), asking.signal);
      turns.push(reply ? { role: "assistant", content: reply } : { failed: "The model answered with no text." });
    } catch (fault) {
      turns.push({ failed: fault.name === "AbortError" ? "Stopped." : fault.message });
    } finally {
      if (turns.at(-1)?.failed && turns.at(-2)?.role === "user") message.value ||= turns.splice(-2, 1)[0].content;
      asking = null;
      draw();
    }
  }

  function draw() {
    const waiting = asking && h("p", { class: "turn assistant waiting" }, h("span", { class: "unseen" }, "The model is answering"), h("i"), h("i"), h("i"));
    log.replaceChildren(...turns.map(bubble), ...(waiting ? [waiting] : []));
    if (turns.length === 0 && !asking) log.append(h("p", { class: "empty" }, "Ask something, or begin with a question that was held back from training:"));
    const fresh = turns.length === 0 && asking === null;
    talk.classList.toggle("fresh", fresh);
    suggestions.element.hidden = !fresh;
    send.disabled = asking !== null;
    stop.hidden = asking === null;
    clear.hidden = turns.length === 0;
    log.scrollTop = log.scrollHeight;
  }

  function show(run) {
    const live = run.stage === "live";
    endpoint = live ? run.endpoint.name : null;
    room.hidden = !live;
    closed.show(live ? null : run.stage);
    suggestions.show((run.smoke_test ?? []).filter(({ prompt }) => prompt.length === 1).concat(run.smoke_test ?? [])
      .map(({ prompt }) => prompt.find(({ role }) => role === "user")?.content).filter((text, at, all) => text && all.indexOf(text) === at).slice(0, SUGGESTIONS));
  }

  room.hidden = true;
  draw();
  return { element: h("div", {}, room, closed.element), show };
}

function bubble({ role, content, failed }) {
  if (failed) return h("p", { class: "note bad" }, failed);
  return h("div", { class: `turn ${role}` }, h("b", { class: "unseen" }, role === "user" ? "You: " : "Model: "), content);
}

function choices() {
  const system = h("textarea", { id: "system", rows: "4", placeholder: "None" });
  const tokens = h("input", { id: "tokens", type: "number", min: "1", max: "4096", value: "200" });
  const temperature = h("input", { id: "temperature", type: "range", min: "0", max: "1.5", step: "0.1", value: "0", "aria-valuetext": "0, always the likeliest word" });
  const degree = h("output", { for: "temperature" }, "0");
  temperature.addEventListener("input", () => {
    degree.value = temperature.value;
    temperature.setAttribute("aria-valuetext", temperature.value === "0" ? "0, always the likeliest word" : temperature.value);
  });
  const element = h("aside", { class: "card choices-of-chat", "aria-label": "How the model answers" },
    h("h2", {}, "Settings"),
    h("label", { for: "system" }, "System message"), system,
    h("label", { for: "temperature" }, "Temperature ", degree), temperature,
    h("label", { for: "tokens" }, "Longest answer, in tokens"), tokens);
  return {
    element,
    system: () => system.value.trim(),
    parameters: () => {
      const sampled = temperature.valueAsNumber > 0;
      return { max_new_tokens: Math.max(1, tokens.valueAsNumber || 200), do_sample: sampled, ...(sampled ? { temperature: temperature.valueAsNumber } : {}) };
    },
  };
}
