// What was said to each model. It outlives the page that shows it, and goes with the key of the tab.

import * as api from "./api.js";

const conversations = new Map(); // by run

/** The conversation with a run's model, begun if there is none. */
export function conversationWith(id) {
  if (!conversations.has(id)) conversations.set(id, new Conversation());
  return conversations.get(id);
}

/** End every conversation, those under way too. */
export function forgetConversations() {
  conversations.forEach((conversation) => conversation.startOver());
  conversations.clear();
}

class Conversation {
  turns = []; // { role, content }, or { failed } with the reason why there is no reply
  draft = ""; // what stands in the message box
  partial = ""; // what the model has said of the reply that it is at
  changed = () => {}; // told of every change: whatever shows the conversation
  #asking = null;

  get asking() {
    return this.#asking !== null;
  }

  /**
   * Put the next question, with all that was said before it.
   * @param {string} endpoint
   * @param {string} text
   * @param {{system: string, parameters: object}} choices
   */
  async ask(endpoint, text, { system, parameters }) {
    const asking = new AbortController();
    this.#asking = asking;
    this.partial = "";
    if (this.turns.at(-1)?.failed) this.turns.pop();
    this.turns.push({ role: "user", content: text });
    this.changed();
    const before = system ? [{ role: "system", content: system }] : [];
    const hear = (said) => {
      if (this.#asking !== asking) return;
      this.partial = said;
      this.changed();
    };
    const answer = await answerOf(api.chat(endpoint, [...before, ...this.turns], parameters, asking.signal, hear));
    if (this.#asking !== asking) return; // started over since
    this.#asking = null;
    if (answer.failed) this.#takeBack();
    this.turns.push(answer);
    this.changed();
  }

  stop() {
    this.#asking?.abort();
  }

  startOver() {
    this.stop();
    this.#asking = null;
    this.turns = [];
    this.changed();
  }

  // A question without an answer goes back to the box, unless something else is being written there.
  #takeBack() {
    const { content } = this.turns.pop();
    this.draft ||= content;
  }
}

async function answerOf(reply) {
  try {
    const content = await reply;
    return content ? { role: "assistant", content } : { failed: "The model answered with no text." };
  } catch (fault) {
    return { failed: fault.name === "AbortError" ? "Stopped." : fault.message };
  }
}
