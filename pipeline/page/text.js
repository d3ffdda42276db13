"use strict";
// Numbers, times and texts formatted for people. A missing value is a dash.

const DASH = "–";
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

function formatCount(value) {
  return numberOf(value) === null ? DASH : WHOLE.format(value);
}

function formatCountOf(value, noun) {
  return `${formatCount(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function formatRate(value) {
  return numberOf(value) === null ? DASH : `${SHORT.format(value)}/s`;
}

/** Seconds, in at most two units. */
function formatDuration(value) {
  const seconds = numberOf(value);
  if (seconds === null) return DASH;
  if (seconds > 0 && seconds < 1) return `${SHORT.format(seconds * 1000)} ms`;
  if (seconds < 10) return `${SHORT.format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** The same in whole seconds, for a time that is updated every second. */
function formatWholeSeconds(value) {
  return numberOf(value) === null ? DASH : formatDuration(Math.floor(value));
}

/** Seconds since 1970. */
function formatDateTime(value) {
  return numberOf(value) === null ? DASH : MOMENT.format(value * 1000);
}

/** The same without the year. */
function formatDayAndTime(value) {
  return numberOf(value) === null ? DASH : DAY.format(value * 1000);
}

function formatTime(value) {
  return numberOf(value) === null ? DASH : TIME.format(value * 1000);
}

function formatAge(value) {
  const seconds = numberOf(value);
  if (seconds === null) return "";
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return AGO.format(-Math.floor(past / 60), "minute");
  if (past < 86400) return AGO.format(-Math.floor(past / 3600), "hour");
  return formatDateTime(seconds);
}

function formatBytes(value) {
  let left = numberOf(value);
  if (left === null) return "";
  let unit = 0;
  for (; left >= 1000 && unit < UNITS.length - 1; unit += 1) left /= 1000;
  return `${SHORT.format(left)} ${UNITS[unit]}`;
}

/** A percentage, rounded down, so that 100 means all. Null without a total. */
function percentOf(part, total) {
  return part === null || !total ? null : Math.min(100, Math.floor((100 * part) / total));
}

/** Text from outside, with control characters made visible; line ends and tabs stay. */
function displayText(value) {
  if (value === null || value === undefined) return DASH;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const toSymbol = (character) => String.fromCharCode(0x2400 + character.charCodeAt(0));
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, toSymbol);
}

/** The tones of the badges; an unknown state is shown as it is, in the tone `still`. */
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
