"use strict";
// Numbers, times and texts as people read them. What is not there is a dash.

const NONE = "–";
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const TIME = new Intl.DateTimeFormat("en", { timeStyle: "medium" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** A finite number, or null for anything else. */
function numberOf(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function counted(value) {
  return numberOf(value) === null ? NONE : WHOLE.format(value);
}

function several(value, noun) {
  return `${counted(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function perSecond(value) {
  return numberOf(value) === null ? NONE : `${SHORT.format(value)}/s`;
}

/** Seconds in the two units that matter. */
function duration(value) {
  const seconds = numberOf(value);
  if (seconds === null) return NONE;
  if (seconds > 0 && seconds < 1) return `${SHORT.format(seconds * 1000)} ms`;
  if (seconds < 10) return `${SHORT.format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** The same in whole seconds, for what counts on before the reader's eyes. */
function ticking(value) {
  return numberOf(value) === null ? NONE : duration(Math.floor(value));
}

/** Seconds since 1970. */
function moment(value) {
  return numberOf(value) === null ? NONE : MOMENT.format(value * 1000);
}

/** The same without the year. */
function dayAndTime(value) {
  return numberOf(value) === null ? NONE : DAY.format(value * 1000);
}

function timeOfDay(value) {
  return numberOf(value) === null ? NONE : TIME.format(value * 1000);
}

function ago(value) {
  const seconds = numberOf(value);
  if (seconds === null) return "";
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return AGO.format(-Math.floor(past / 60), "minute");
  if (past < 86400) return AGO.format(-Math.floor(past / 3600), "hour");
  return moment(seconds);
}

function bytes(value) {
  let left = numberOf(value);
  if (left === null) return "";
  let unit = 0;
  for (; left >= 1000 && unit < UNITS.length - 1; unit += 1) left /= 1000;
  return `${SHORT.format(left)} ${UNITS[unit]}`;
}

/** Rounded down: 100 is all of them. Null where there is no whole. */
function percentOf(part, whole) {
  return part === null || !whole ? null : Math.min(100, Math.floor((100 * part) / whole));
}

/** Text from elsewhere, its control characters made visible; a line's end and a tab stay. */
function shown(value) {
  if (value === null || value === undefined) return NONE;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0)));
}

/** Any other state is shown as it is, in no colour of its own. */
const TONES = {
  opening: "calm",
  running: "calm",
  paused: "warn",
  closing: "warn",
  reducing: "calm",
  done: "good",
  cancelled: "still",
  failed: "bad",
  deleting: "warn",
};
const ENDED = new Set(["done", "cancelled", "failed"]);
