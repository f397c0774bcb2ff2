// Actions on a run. Each opens a dialog that states its effect.

import * as api from "./api.js";
import { announce, h } from "./dom.js";
import { duration, now, zonedMoment } from "./format.js";
import { mayAcknowledge } from "./run_table.js";
import { atRest, beforeLive } from "./stages.js";

/** The actions that a run's stage allows. `done` is called when the app has accepted one. */
export function actionsFor({ run, suspended }, done) {
  const { stage, run_id: id } = run;
  const stuck = suspended !== null || run.failures > 0;
  return [
    stuck && !atRest(stage) && retryButton(id, done),
    mayAcknowledge(run) && button("acknowledge", "Acknowledge", () => acknowledge(id, done)),
    run.may_be_started && button("start", "Start again …", () => start(run, done)),
    stage === "live" && button("extend", "Extend …", () => extend(run, done)),
    stage === "live" && button("delete", "Delete endpoint …", () => remove(run, done), "danger"),
    beforeLive(stage) && button("cancel", "Cancel run …", () => cancel(run, done), "danger"),
  ];
}

/** Retry a run that is stuck, even if its record cannot be read. */
export const retryButton = (id, done) => button("retry", "Retry now", () => retry(id, done));

function button(id, label, act, style = "") {
  return h("button", { id: `action-${id}`, class: style, type: "button", on: { click: act } }, label);
}

function retry(id, done) {
  return confirm({
    title: "Retry this run now?",
    body: ["The app repeats what the run waits for; a suspended run resumes. Completed steps are not repeated."],
    label: "Retry now",
    act: () => api.retry(id),
    said: "The run is retried.",
  }, done);
}

async function acknowledge(id, done) {
  await api.acknowledge(id);
  announce("Acknowledged: the run needs attention no longer.");
  await done();
}

function start(run, done) {
  const { instance_count: count, instance_type: size, lifetime_hours: hours } = run.options;
  return confirm({
    title: `Deploy ${run.dataset} again?`,
    body: [`Its model gets an endpoint on ${count} × ${size} for ${hours} h, without training. It costs money until it is stopped.`],
    label: "Start again",
    act: () => api.start(run.run_id),
    said: "The model is deployed again.",
  }, done);
}

function cancel(run, done) {
  return confirm({
    title: `Cancel ${run.dataset}?`,
    body: ["The app stops the job and deletes the endpoint. This cannot be undone. To start a new run, upload the dataset again."],
    label: "Cancel run",
    danger: true,
    act: () => api.cancel(run.run_id),
    said: "The run is being canceled.",
  }, done);
}

function remove(run, done) {
  return confirm({
    title: "Delete the endpoint?",
    body: [h("code", {}, run.endpoint.name), " stops answering at once; Azure ML deletes it within minutes. The trained model stays registered."],
    label: "Delete endpoint",
    danger: true,
    act: () => api.remove(run.endpoint.name),
    said: "The endpoint is being deleted.",
  }, done);
}

const LEAST_HOURS = 0.25; // the app takes no shorter extension

function extend(run, done) {
  const { endpoint } = run;
  const end = Date.parse(endpoint.expires_at);
  const latest = Date.parse(endpoint.latest_end_at);
  const most = Math.floor(((latest - end) / 3_600_000) * 4) / 4;
  const possible = most >= LEAST_HOURS;
  const field = h("input", {
    id: "hours", type: "number", min: LEAST_HOURS, max: most, step: "any", value: Math.min(4, most), required: true, disabled: !possible, "aria-describedby": "new-end most-hours",
  });
  const preview = h("p", { id: "new-end", class: "hint", "aria-live": "polite" });
  const limit = h("p", { id: "most-hours", class: "hint" }, possible
    ? `At most ${most} h, until ${zonedMoment(endpoint.latest_end_at)}: the operator’s limit.`
    : `It cannot be extended: its operator’s limit is ${zonedMoment(endpoint.latest_end_at)}.`);
  const show = () => {
    const hours = field.valueAsNumber;
    const over = hours > most;
    preview.textContent = !possible ? "" : over ? `That is too long: ${most} h at most.`
      : hours >= LEAST_HOURS ? `Until ${zonedMoment(end + hours * 3_600_000)}, even if it is not used.` : "Enter a number of hours, a quarter at least.";
    preview.classList.toggle("bad", over);
  };
  field.addEventListener("input", show);
  show();
  const left = (end - now()) / 1000;
  return confirm({
    title: "Extend the endpoint",
    body: [h("span", {}, `It has ${duration(left)} left, until ${zonedMoment(end)}.`)],
    fields: [h("label", { for: "hours" }, "Hours to add"), field, limit, preview],
    label: "Extend",
    act: () => api.extend(endpoint.name, field.valueAsNumber),
    said: "The endpoint is extended.",
    possible,
  }, done);
}

/** Confirm, act, and show the app's error if it refuses. Resolves when the dialog closes. */
export function confirm({ title, body, fields = [], label, danger = false, act, said, possible = true }, done) {
  const fault = h("p", { class: "note bad", role: "alert", hidden: true });
  const yes = h("button", { class: danger ? "danger solid" : "primary", type: "submit", value: "yes", disabled: !possible }, label);
  const submit = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    fault.hidden = true;
    try {
      await act();
      dialog.close();
      announce(said);
      await done();
    } catch (problem) {
      fault.textContent = problem.message;
      fault.hidden = false;
      open();
    } finally {
      yes.disabled = false;
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", on: { close: () => dialog.remove() } },
    h("form", { method: "dialog", on: { submit } },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, body),
      fields.length > 0 && h("div", { class: "fields" }, fields),
      fault,
      h("div", { class: "choices" },
        h("button", { type: "button", autofocus: fields.length === 0, on: { click: () => dialog.close() } }, "Change nothing"),
        yes)));
  const open = () => {
    if (dialog.open) return; // Escape closes it while the app still thinks; a refusal brings it back
    document.body.append(dialog);
    dialog.showModal();
  };
  open();
}
