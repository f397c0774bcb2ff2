// The page's start: its key, what its address names, and word of its connection.

import { readAddress } from "./address.js";
import * as api from "./api.js";
import { forgetConversations } from "./conversation.js";
import { announce, h } from "./dom.js";
import { startClock } from "./format.js";
import { Poller } from "./poller.js";
import { datasetPage } from "./dataset_page.js";
import { datasetsPage } from "./datasets.js";
import { overview } from "./overview.js";
import { runPage } from "./run_page.js";
import { uploadPage } from "./upload_page.js";
import { signIn } from "./sign_in.js";

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const menu = document.getElementById("menu");
const problem = document.getElementById("problem");
const signOut = document.getElementById("sign-out");
const PASSING = new Set([408, 425, 429]); // refusals of this moment, not of the question

let poller = null;

/** Take the key that `make dev` puts into the address, and take it out of there: it is for this tab alone. */
function takeKey() {
  const [, key] = location.hash.match(/^#key=(.+)$/) ?? [];
  if (!key) return;
  api.saveKey(decodeURIComponent(key));
  history.replaceState(null, "", location.pathname + location.search);
}

function open() {
  poller?.stop();
  const address = readAddress();
  const view = viewOf(address);
  markMenu(address);
  menu.hidden = api.savedKey() === null;
  document.title = `${view.title} · finetune-on-upload`;
  main.replaceChildren(view.element);
  signOut.hidden = api.savedKey() === null;
  poller = new Poller(view.look, (state) => tell(state, view));
}

/** What the address names; the list of runs where it names nothing that there is. */
function viewOf({ path: [section, name, page], query }) {
  if (section === "runs" && name) return runPage(name, page, refresh);
  if (section === "upload") return uploadPage(query);
  if (section === "datasets") return name ? datasetPage(name, refresh) : datasetsPage(query);
  return overview(query, refresh);
}

/** Mark what the address belongs to in the menu of the page's head. */
function markMenu({ path: [section = "runs"] }) {
  for (const link of document.querySelectorAll("#menu a")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function refresh() {
  return poller?.now();
}

function tell({ online, fault, again }, view) {
  if (fault?.status === 401 || fault?.status === 403) return askForKey(api.savedKey() === null ? "" : fault.message);
  const refused = !online && fault.status >= 400 && fault.status < 500 && !PASSING.has(fault.status);
  if (refused) view.refuse(fault);
  const away = !online && !refused;
  if (away) view.away?.(fault);
  tellProblem(away && fault.code === "Settings" ? fault.message : "");
  connection.dataset.state = away ? "away" : "live";
  const short = fault?.code === "Settings" ? "The app is misconfigured." : fault?.message;
  const words = away ? `${short} Next try in ${again} s.` : "Connected";
  if (connection.textContent !== words) connection.replaceChildren(h("span", { class: "lamp", "aria-hidden": "true" }), h("span", { class: "words" }, words));
}

/** What is wrong with the app's settings: all of it, before anything else. */
function tellProblem(message) {
  if (problem.dataset.shown === message) return;
  problem.dataset.shown = message;
  problem.replaceChildren(...(message ? [h("div", { class: "note bad", role: "alert" }, h("h2", {}, "The app is misconfigured"),
    h("ul", { class: "problems" }, message.replace(/^settings: /, "").split(/; (?=[A-Z][A-Za-z_]+ )/).map((one) => h("li", {}, one))),
    h("p", { class: "hint" }, "Its operator changes the settings of the function app; this page goes on by itself then."))] : []));
}

function askForKey(refusal) {
  poller?.stop();
  api.forgetKey();
  forgetConversations();
  signOut.hidden = true;
  menu.hidden = true;
  connection.replaceChildren();
  document.title = "Key needed · finetune-on-upload";
  main.replaceChildren(signIn(refusal, open));
  main.querySelector("input").focus();
}

window.addEventListener("hashchange", () => {
  takeKey();
  open();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  announce(document.title);
});
// The address is the page's own: the link may not write its target into it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
signOut.addEventListener("click", () => askForKey(""));
startClock();
takeKey();
open();
