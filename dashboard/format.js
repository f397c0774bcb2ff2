// Numbers, sizes and times for people; and the clock that keeps times on the page true.

import { h } from "./dom.js";

const counts = new Intl.NumberFormat("en");
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

let skew = 0;

/** Learn the app's clock (milliseconds since 1970), so that a wrong clock here does no harm. */
export function synchronize(serverTime) {
  const difference = serverTime - Date.now();
  skew = Math.abs(difference) > 2000 ? difference : 0; // the Date header counts whole seconds
}

/** Now, by the app's clock, in milliseconds since 1970. */
export const now = () => Date.now() + skew;

/** Seconds as the two largest units that matter: `2 d 4 h`, `3 min 5 s`, `0.4 s`. */
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1).replace(/\.0$/, "")} s`;
  let rest = Math.round(seconds);
  const first = UNITS.findIndex(([, size]) => rest >= size);
  const parts = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const whole = Math.floor(rest / size);
    if (whole > 0) parts.push(`${whole} ${unit}`);
    rest -= whole * size;
  }
  return parts.join(" ");
}

/** Hours as a duration. */
export const hours = (value) => duration(value * 3600);

/** A whole number with separators. */
export const count = (value) => counts.format(value);

/** A measured value in four digits. */
export const decimal = (value) => Number(value).toPrecision(4);

/** Bytes as people read them. */
export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const power = Math.min(3, Math.floor(Math.log2(size) / 10));
  return `${(size / 1024 ** power).toFixed(1)} ${["", "KiB", "MiB", "GiB"][power]}`;
}

/** An amount of money, in whichever currency the prices are. */
export const price = (amount) => amount.toFixed(2);

/** Date and time of day, where the reader is. */
export const moment = (iso) => moments.format(new Date(iso));

/** Time of day with seconds, where the reader is. */
export const timeOfDay = (iso) => clocks.format(new Date(iso));

/** First letter large. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** How long ago something was, times a number of nodes; ticks. */
export const since = (iso, nodes = 1) => ticking(iso, "since", nodes);

/** What something has cost since then, at a price per hour; ticks. */
export const cost = (iso, price) => ticking(iso, "cost", price);

/** How long it is until something; ticks, and says `now` when it has come. */
export const until = (iso) => ticking(iso, "until");

function ticking(iso, direction, rate = 1) {
  const element = h("time", { datetime: iso, title: moment(iso), "data-ticks": direction, "data-rate": rate });
  tick(element);
  return element;
}

function tick(element) {
  const { ticks, rate } = element.dataset;
  const seconds = ((now() - Date.parse(element.dateTime)) / 1000) * rate;
  const away = ticks === "until" ? -seconds : seconds;
  const text = ticks === "cost" ? price(away / 3600) : away < 1 ? "now" : duration(Math.floor(away));
  if (element.textContent !== text) element.textContent = text;
}

/** Keep every ticking time on the page true. */
export function startClock() {
  setInterval(() => document.querySelectorAll("time[data-ticks]").forEach(tick), 1000);
}
