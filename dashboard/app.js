// The page's start: its key, what its address names, and word of its connection.

import { readAddress } from "./address.js";
import * as api from "./api.js";
import { forgetConversations } from "./conversation.js";
import { announce, h } from "./dom.js";
import { startClock } from "./format.js";
import { Poller } from "./poller.js";
import { overview } from "./overview.js";
import { runPage } from "./run_page.js";
import { signIn } from "./sign_in.js";

const main = document.getElementById("main");
const connection = document.getElementById("connection");
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
  const view = viewOf(readAddress());
  document.title = `${view.title} · finetune-on-upload`;
  main.replaceChildren(view.element);
  signOut.hidden = api.savedKey() === null;
  poller = new Poller(view.look, (state) => tell(state, view));
}

/** What the address names; the list of runs where it names nothing that there is. */
function viewOf({ path: [section, name, page], query }) {
  if (section === "runs" && name) return runPage(name, page, refresh);
  return overview(query, refresh);
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
  connection.dataset.state = away ? "away" : "live";
  const words = away ? `${fault.message} Next try in ${again} s.` : "Connected";
  if (connection.textContent !== words) connection.replaceChildren(h("span", { class: "lamp", "aria-hidden": "true" }), h("span", { class: "words" }, words));
}

function askForKey(refusal) {
  poller?.stop();
  api.forgetKey();
  forgetConversations();
  signOut.hidden = true;
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
