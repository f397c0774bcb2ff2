// Talking with a live model, turn after turn. What is said stays in this tab.

import { conversationWith } from "./conversation.js";
import { withCodeBlocks } from "./copy.js";
import { h, Part } from "./dom.js";
import { beforeLive } from "./stages.js";

const SUGGESTIONS = 3;

/** The page at `#/runs/<id>/chat`. */
export function chatPage(id) {
  const conversation = conversationWith(id);
  const bubbles = new Map(); // turn → its element: what is in the log is never drawn anew, and so read out once
  let endpoint = null;

  const begin = h("p", { class: "empty" }, "Write a message, or start with a question that was not used for training:");
  // Busy, so that a reply is read out when it is whole, and not again with each of its words.
  const waiting = h("p", { class: "turn assistant waiting", "aria-busy": "true" });
  const thinking = [h("span", { class: "unseen" }, "The model is answering"), h("i"), h("i"), h("i")];
  const log = h("div", { class: "log", role: "log", "aria-label": "Conversation", tabindex: "0" });
  const suggestions = new Part(h("div", { class: "suggestions" }), (prompts) => prompts.map((text, at) =>
    h("button", { id: `suggestion-${at}`, type: "button", on: { click: () => ask(text) } }, text)));
  const message = h("textarea", { id: "message", rows: "2", placeholder: "Write to the model …", "aria-label": "Your message", on: { input: () => { conversation.draft = message.value; } } });
  const send = h("button", { id: "send", class: "primary", type: "submit" }, "Send");
  const stop = h("button", { id: "stop", type: "button", on: { click: () => conversation.stop() } }, "Stop");
  const clear = h("button", { id: "start-over", class: "quiet", type: "button", on: { click: () => { conversation.startOver(); message.focus(); } } }, "Start over");
  const settings = choices();
  const composer = h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); submit(); } } },
    message, h("div", { class: "buttons" }, clear, h("span", { class: "hint" }, "Enter sends, Shift + Enter starts a line"), stop, send));
  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  const talk = h("section", { class: "card talk" }, log, suggestions.element, composer);
  const room = h("div", { class: "chat" }, talk, settings.element);
  const closed = new Part(h("div"), (state) => state && drawClosed(state));

  function submit() {
    const text = conversation.draft.trim();
    if (!text || conversation.asking || !endpoint) return;
    conversation.draft = "";
    ask(text);
  }

  function ask(text) {
    message.focus(); // the suggestion that was chosen goes away
    conversation.ask(endpoint, text, { system: settings.system(), parameters: settings.parameters() });
  }

  function draw() {
    const { turns, asking } = conversation;
    for (const [turn, element] of bubbles) {
      if (turns.includes(turn)) continue;
      element.remove();
      bubbles.delete(turn);
    }
    waiting.remove();
    for (const turn of turns.filter((one) => !bubbles.has(one))) {
      bubbles.set(turn, bubble(turn));
      log.append(bubbles.get(turn));
    }
    const fresh = turns.length === 0;
    if (asking) {
      if (conversation.partial) waiting.textContent = conversation.partial;
      else waiting.replaceChildren(...thinking);
      log.append(waiting);
    }
    if (fresh) log.append(begin);
    else begin.remove();
    talk.classList.toggle("fresh", fresh);
    if (message.value !== conversation.draft) message.value = conversation.draft;
    if (!asking && document.activeElement === stop) message.focus();
    send.disabled = asking;
    stop.hidden = !asking;
    clear.hidden = fresh;
    settle();
    log.scrollTop = log.scrollHeight;
  }

  let stage = null;

  // Without an endpoint nothing can be asked, but what was said stays to be read.
  function settle() {
    if (stage === null) return;
    const live = endpoint !== null;
    const kept = conversation.turns.length > 0;
    if (room.hidden !== !(live || kept)) {
      room.hidden = !(live || kept);
      log.scrollTop = log.scrollHeight;
    }
    composer.hidden = !live;
    suggestions.element.hidden = kept || !live;
    settings.element.hidden = !live;
    room.classList.toggle("over", !live);
    closed.show(live ? null : { stage, kept });
  }

  function show(run) {
    stage = run.stage;
    endpoint = stage === "live" ? run.endpoint.name : null;
    settle();
    suggestions.show((run.smoke_test ?? []).filter(({ prompt }) => prompt.length === 1).concat(run.smoke_test ?? [])
      .map(({ prompt }) => prompt.find(({ role }) => role === "user")?.content).filter((text, at, all) => text && all.indexOf(text) === at).slice(0, SUGGESTIONS));
  }

  room.hidden = true;
  conversation.changed = draw;
  draw();
  return { element: h("div", { class: "chat-page" }, closed.element, room), show };
}

function drawClosed({ stage, kept }) {
  const why = beforeLive(stage) ? "You can chat with the model when its endpoint is live."
    : stage === "stopped" ? "The run is stopped. Start it again to chat with its model."
      : stage === "deleting" ? "The endpoint is being deleted." : "The endpoint is deleted. The model is still registered in Azure ML.";
  return kept ? h("p", { class: "note warn" }, why, " What was said stays here until this tab is closed.") : h("p", { class: "card empty" }, why);
}

function bubble({ role, content, failed }) {
  if (failed) return h("p", { class: "note bad" }, failed);
  return h("div", { class: `turn ${role}` }, h("b", { class: "unseen" }, role === "user" ? "You: " : "Model: "), withCodeBlocks(content));
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
  // On a phone the settings fold away, so that the conversation has the screen.
  const folded = window.matchMedia("(max-width: 900px)").matches;
  const element = h("aside", { class: "card choices-of-chat", "aria-label": "How the model answers" },
    h("details", { id: "chat-settings", open: !folded },
      h("summary", {}, h("h2", {}, "Settings")),
      h("label", { for: "system" }, "System message"), system,
      h("label", { for: "temperature" }, "Temperature ", degree), temperature,
      h("label", { for: "tokens" }, "Longest answer, in tokens"), tokens));
  return {
    element,
    system: () => system.value.trim(),
    parameters: () => {
      const sampled = temperature.valueAsNumber > 0;
      return { max_new_tokens: Math.max(1, tokens.valueAsNumber || 200), do_sample: sampled, ...(sampled ? { temperature: temperature.valueAsNumber } : {}) };
    },
  };
}
