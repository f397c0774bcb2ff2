// Numbers, sizes and times for people; and the clock that keeps times on the page true.

import { h } from "./dom.js";

const counts = new Intl.NumberFormat("en");
const amounts = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const zoned = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });
const clocks = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Between a number and what it counts, where no line may break. */
export const BLANK = "\u00a0";

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
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1).replace(/\.0$/, "")}${BLANK}s`;
  let rest = Math.round(seconds);
  const first = UNITS.findIndex(([, size]) => rest >= size);
  const parts = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const whole = Math.floor(rest / size);
    if (whole > 0) parts.push(`${whole}${BLANK}${unit}`);
    rest -= whole * size;
  }
  return parts.join(BLANK);
}

/** Hours as a duration. */
export const hours = (value) => duration(value * 3600);

/** A whole number with separators. */
export const count = (value) => counts.format(value);

/** A measured value in four digits. */
export const decimal = (value) => Number(value).toPrecision(4);

/** Bytes as people read them. */
export function bytes(size) {
  if (size < 1024) return `${size}${BLANK}B`;
  const power = Math.min(3, Math.floor(Math.log2(size) / 10));
  return `${(size / 1024 ** power).toFixed(1)}${BLANK}${["", "KiB", "MiB", "GiB"][power]}`;
}

/** An amount of money; the currency is whatever the app calls it, or null. */
export const price = (amount, currency) => [amounts.format(amount), currency].filter(Boolean).join(BLANK);

/** Date and time of day, where the reader is. */
export const moment = (iso) => moments.format(new Date(iso));

/** The same with the name of the time zone, where it is decided upon. */
export const zonedMoment = (iso) => zoned.format(new Date(iso));

/** The day by the app's clock, where the reader is. */
export const today = () => dayOf(now());

/** Time of day with seconds; on any other day than today, the date and no seconds. */
export const stamp = (iso) => (dayOf(iso) === today() ? clocks : days).format(new Date(iso));

const dayOf = (time) => new Date(time).toDateString();

/** First letter large. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** How long ago something was, times a number of nodes; ticks. */
export const since = (iso, nodes = 1) => ticking(iso, { ticks: "since", rate: nodes });

/** What something has cost since then, at a price per hour; ticks. */
export const costSince = (iso, perHour, currency) => ticking(iso, { ticks: "cost", rate: perHour, currency: currency ?? "" });

/** What a listed run has cost until now, or its node hours where a price is not known; null for nothing yet. */
export function spent({ node_hours: used, amount, currency, since: begun, nodes, price_per_hour: each }) {
  if (begun === null) return used === 0 ? null : amount === null ? nodeHours(used) : price(amount, currency);
  const priced = each !== null && (amount !== null || used === 0);
  const data = priced ? { ticks: "cost", rate: each * nodes, base: amount ?? 0, currency: currency ?? "" } : { ticks: "nodes", rate: nodes, base: used };
  return ticking(begun, data);
}

/** The same as a number to sort by: money, or node hours where there is no price. */
export function spentNow({ node_hours: used, amount, since: begun, nodes, price_per_hour: each }) {
  const running = begun === null ? 0 : ((now() - Date.parse(begun)) / 3_600_000) * nodes;
  return each === null && amount === null ? used + running : (amount ?? 0) + running * (each ?? 0);
}

const nodeHours = (value) => `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)}${BLANK}node h`;

/** How long it is until something; ticks, says `now` when it has come, and stands out in the last `soon` seconds. */
export const until = (iso, soon = 0) => ticking(iso, { ticks: "until", soon });

function ticking(iso, data) {
  const element = h("time", { datetime: iso, title: moment(iso) });
  Object.assign(element.dataset, data);
  tick(element);
  return element;
}

function tick(element) {
  const { ticks, rate = 1, base = 0, currency, soon } = element.dataset;
  const seconds = ((now() - Date.parse(element.dateTime)) / 1000) * rate;
  const text = ticks === "cost" ? price(Number(base) + seconds / 3600, currency)
    : ticks === "nodes" ? nodeHours(Number(base) + seconds / 3600) : wait(ticks === "until" ? -seconds : seconds);
  if (element.textContent !== text) element.textContent = text;
  if (Number(soon)) element.classList.toggle("soon", -seconds < soon);
}

// Seconds are for the first minute: after it they would only flicker.
function wait(seconds) {
  if (seconds < 1) return "now";
  return duration(Math.floor(seconds < 60 ? seconds : seconds - (seconds % 60)));
}

/** Keep every ticking time on the page true. */
export function startClock() {
  setInterval(() => document.querySelectorAll("time[data-ticks]").forEach(tick), 1000);
}
