// How to call a live model from one's own code: its name, its address, and code to copy.

import { copyButton } from "./copy.js";
import { h, Part } from "./dom.js";
import { until } from "./format.js";

const LANGUAGES = { curl, Python: python, JavaScript: javascript };
const KEY = "FINETUNE_API_KEY";
const QUESTION = [{ role: "user", content: "Hello" }];

/** The card of a live run; it is hidden at any other time. */
export function useItCard() {
  let language = "curl";
  const part = new Part(h("section", { class: "card span use-it", hidden: true }), (model) => model && draw(model));

  function draw(model) {
    const address = new URL("v1", document.baseURI).href;
    const code = h("code", {}, LANGUAGES[language](address, model.dataset));
    const choose = (name) => {
      language = name;
      code.textContent = LANGUAGES[name](address, model.dataset);
    };
    return [
      h("h2", {}, "Use it ", h("small", {}, "with any client of OpenAI’s API")),
      h("dl", {}, named("Model", model.dataset, "model-name"), named("Base URL", address, "base-url")),
      h("fieldset", { class: "languages" }, h("legend", { class: "unseen" }, "Language"),
        Object.keys(LANGUAGES).map((name) => h("label", {},
          h("input", { type: "radio", name: "language", id: `in-${name}`, value: name, checked: name === language, on: { change: () => choose(name) } }), name))),
      h("div", { class: "snippet" }, h("pre", { tabindex: "0", "aria-label": "Code" }, code), copyButton("code", () => code.textContent, "copy-code")),
      h("p", { class: "hint" }, "The model’s name is its dataset’s: a newer run of the dataset takes over when it is live, unless it is worse. ",
        h("code", {}, model.endpoint), " names this run alone. ", h("code", {}, KEY), " is one of the setting API_KEYS. Locally, ", h("code", {}, "make dev"),
        " prints it; in Azure, it is in the key vault that the deployment names in its last lines."),
      h("ul", { class: "limits" }, limits(model).map((limit) => h("li", {}, limit))),
    ];
  }

  function show(run) {
    const live = run.stage === "live" && run.endpoint !== null;
    part.element.hidden = !live;
    part.show(live ? modelOf(run) : null);
  }

  return { element: part.element, show };
}

function modelOf({ dataset, endpoint, options }) {
  const { name, expires_at: expires, idle_at: idle, idle_minutes: minutes } = endpoint;
  return { dataset, endpoint: name, expires, idle: idle !== null, minutes, at_once: options.serving_concurrency * options.instance_count };
}

function limits({ expires, idle, minutes, at_once: atOnce }) {
  return [
    expires && ["It answers for another ", until(expires), idle && `, or until nobody has used it for ${minutes} minutes`, "."],
    `It works on ${atOnce} ${atOnce === 1 ? "request" : "requests"} at once. Others wait for a moment, then get 429 with Retry-After.`,
    "A request has at most 1 MiB.",
  ].filter(Boolean);
}

function named(name, value, id) {
  return [h("dt", {}, name), h("dd", {}, h("code", {}, value), " ", copyButton(name.toLowerCase(), () => value, `copy-${id}`))];
}

function curl(address, model) {
  const body = JSON.stringify({ model, messages: QUESTION }).replaceAll("'", "'\\''");
  return `curl "${address}/chat/completions" \\\n  -H "Authorization: Bearer $${KEY}" -H "Content-Type: application/json" \\\n  -d '${body}'`;
}

function python(address, model) {
  return `import os

from openai import OpenAI

client = OpenAI(base_url="${address}", api_key=os.environ["${KEY}"])
reply = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=${JSON.stringify(QUESTION)},
)
print(reply.choices[0].message.content)`;
}

function javascript(address, model) {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${address}", apiKey: process.env.${KEY} });
const reply = await client.chat.completions.create({
  model: ${JSON.stringify(model)},
  messages: ${JSON.stringify(QUESTION)},
});
console.log(reply.choices[0].message.content);`;
}
