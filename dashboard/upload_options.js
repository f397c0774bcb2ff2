// The options of a run to come: what its run.json is to say. What is left empty is as the app is configured.

import { h } from "./dom.js";

const FIELDS = [
  { name: "base_model", label: "Base model", placeholder: "as configured" },
  { name: "num_train_epochs", label: "Epochs", number: true, min: 1, parameter: true },
  { name: "learning_rate", label: "Learning rate", number: true, min: 0, step: "any", parameter: true },
  { name: "per_device_train_batch_size", label: "Batch size of a device", number: true, min: 1, parameter: true },
  { name: "lora_r", label: "LoRA rank", number: true, min: 1, parameter: true },
  { name: "lifetime_hours", label: "Endpoint’s lifetime, in hours", number: true, min: 0, step: "any" },
  { name: "idle_minutes", label: "Stop after minutes without use", number: true, min: 0 },
];
const RECHECK_MS = 600;

/**
 * The form.
 * @param {() => void} changed told a moment after the last change
 */
export function optionsForm(changed) {
  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(changed, RECHECK_MS);
  };
  const inputs = new Map(FIELDS.map((field) => [field.name, input(field, soon)]));
  const drop = h("input", { id: "option-drop", type: "checkbox", on: { change: soon } });
  const force = h("input", { id: "option-force", type: "checkbox", on: { change: soon } });
  const others = h("textarea", { id: "option-others", rows: "2", placeholder: "warmup_steps=20", spellcheck: "false", on: { input: soon } });
  const element = h("details", { id: "options" },
    h("summary", {}, h("h2", {}, "Options ", h("small", {}, "what is left empty is as the app is configured"))),
    h("div", { class: "option-fields" }, FIELDS.map(({ name, label }) => h("div", {}, h("label", { for: `option-${name}` }, label), inputs.get(name)))),
    h("div", { class: "others" }, h("label", { for: "option-others" }, "Other training parameters, one name=value a line"), others),
    h("div", { class: "checks" },
      h("label", {}, drop, "Leave faulty rows out instead of refusing the dataset"),
      h("label", {}, force, "Train even if the same content was trained before")));

  /** What run.json is to say. Throws an Error for a line that is no parameter. */
  function value() {
    const options = {};
    const parameters = parametersOf(others.value);
    for (const { name, number, parameter } of FIELDS) {
      const text = inputs.get(name).value.trim();
      if (text) (parameter ? parameters : options)[name] = number ? Number(text) : text;
    }
    if (drop.checked) options.row_policy = "drop";
    if (force.checked) options.force = true;
    if (Object.keys(parameters).length > 0) options.parameters = parameters;
    return options;
  }

  return { element, value };
}

function input({ name, number, min, step, placeholder }, changed) {
  return h("input", { id: `option-${name}`, type: number ? "number" : "text", min, step: number ? step ?? 1 : null, placeholder, autocomplete: "off", spellcheck: "false", on: { input: changed } });
}

function parametersOf(text) {
  const parameters = Object.create(null);
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`"${line}" is not of the form name=value.`);
    const [name, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    parameters[name] = value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return parameters;
}
