// Asking for the function key, once a tab.

import { saveKey } from "./api.js";
import { h } from "./dom.js";

/** A form that keeps the key for this tab and goes on. */
export function signIn(refusal, proceed) {
  const field = h("input", {
    id: "key", type: "password", name: "key", required: true, autocomplete: "off", spellcheck: "false",
    "aria-describedby": "key-hint", "aria-invalid": refusal ? "true" : null,
  });
  const submit = (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (!key) return;
    saveKey(key);
    proceed();
  };
  return h("section", { class: "card sign-in" },
    h("h1", {}, "Function key"),
    h("p", { id: "key-hint", class: "soft" },
      "This page shows what the app’s API tells it, and the API asks for a key. It stays in this tab and goes to this app only."),
    refusal && h("p", { class: "note bad", role: "alert" }, "That key was refused. ", refusal),
    h("form", { on: { submit } },
      h("label", { for: "key" }, "Key"),
      field,
      h("button", { class: "primary", type: "submit" }, "Show the runs")),
    h("p", { class: "hint" }, "Locally, ", h("code", {}, "make dev"), " prints it. In Azure it is under the function app’s ", h("b", {}, "App keys"), "."));
}
