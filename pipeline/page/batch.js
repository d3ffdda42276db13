// The view of one batch.

const QUANTILES = ["p50", "p90", "p99", "max"];
const drawnBatch = { id: "", state: "", status: null, since: 0 };

function drawBatch(status) {
  const view = byId("view-batch");
  Object.assign(drawnBatch, { status, since: performance.now() });
  const running = !ENDED.has(status.state);
  fillFields(view, {
    id: displayText(status.batch_id),
    origin: originOf(status),
    reason: displayText(status.reason),
    trouble: displayText(status.trouble),
    notes: notesOf(status).map(displayText).join(" · "),
    settled: `${formatCount(status.settled)} of ${formatCount(status.tasks)}`,
    "in-flight": formatCount(status.in_flight),
    window: formatCount(status.window),
    "rate-limit": numberOf(status.rate_limit) === null ? "none" : formatRate(status.rate_limit),
    generation: formatCount(status.generation),
  });
  for (const note of ["reason", "trouble"]) {
    setVisible(view.querySelector(`[data-note="${note}"]`), Boolean(status[note]));
  }
  setVisible(view.querySelector('[data-note="notes"]'), notesOf(status).length > 0);
  setBadge(byId("batch-state"), status.state);
  drawProgress(view, status);
  drawPace(view, status, running);
  drawElapsed();
  drawChart(view, status.throughput, running);
  drawLatency(view, status.latency);
  drawFailures(status.failures);
  drawNotices(status);
  drawSql(status);
  drawOutputs(status);
  fillFields(view, { "summary-key": status.links?.summary ? displayText(status.links.summary) : "" });
  drawActions(status);
  announceState(status);
}

function notesOf(status) {
  return Array.isArray(status.notes) ? status.notes : [];
}

function originOf(status) {
  const parts = [];
  if (status.function) parts.push(`\u2068${displayText(status.function)}\u2069`);
  if (numberOf(status.created) !== null) parts.push(`submitted ${formatDateTime(status.created)}`);
  return parts.join(" · ");
}

/** The text in place of a count: an input may have no rows. */
function textWithoutCount(state) {
  return state === "done" ? "no items" : "not counted yet";
}

/** Numbers of items: succeeded, failed and left; missing values count as 0. */
function progressOf({ items, succeeded, failed }) {
  const [total, good, bad] = [items, succeeded, failed].map((value) => numberOf(value) ?? 0);
  return { total, good, bad, left: Math.max(0, total - good - bad), percent: percentOf(good + bad, total) };
}

function drawProgress(view, status) {
  const { total, good, bad, left, percent } = progressOf(status);
  const bar = byId("batch-progress");
  const counts = `${formatCount(good)} succeeded, ${formatCount(bad)} failed, ${formatCount(left)} left`;
  setBar(bar, good, bad, total);
  setAttribute(bar, "aria-valuenow", percent ?? 0);
  setAttribute(bar, "aria-valuetext", total ? `${percent}%: ${counts}` : textWithoutCount(status.state));
  fillFields(view, {
    percent: percent === null ? DASH : `${percent}%`,
    of: total ? `${formatCount(good + bad)} of ${formatCountOf(total, "item")}` : textWithoutCount(status.state),
    succeeded: formatCount(good),
    failed: formatCount(bad),
    left: formatCount(left),
    retried: formatCount(status.retried),
  });
  const prefix = percent === null ? "" : `${percent}% `;
  document.title = `${prefix}${displayText(status.state)} · ${displayText(status.batch_id)}`;
}

function drawPace(view, status, running) {
  fillFields(view, {
    rate: formatRate(status.rate),
    "eta-label": running ? "Time left" : "Ended",
    eta: running ? etaOf(status) : formatDayAndTime(status.ended),
  });
}

function etaOf(status) {
  if (status.state === "paused") return "paused";
  return numberOf(status.eta) === null ? DASH : `≈ ${formatDuration(Math.ceil(status.eta))}`;
}

/** The elapsed time of a running batch grows between two documents. */
function drawElapsed() {
  const { status, since } = drawnBatch;
  const elapsed = numberOf(status?.elapsed);
  if (elapsed === null) return;
  const isRunning = !ENDED.has(status.state) && numberOf(status.started) !== null;
  const sinceDrawn = (performance.now() - since) / 1000;
  const text = isRunning ? formatWholeSeconds(elapsed + sinceDrawn) : formatDuration(elapsed);
  fillFields(byId("view-batch"), { elapsed: text });
}

function drawLatency(view, latency) {
  setVisible(byId("latency"), Boolean(latency));
  if (!latency) return;
  const longest = Math.max(...QUANTILES.map((name) => numberOf(latency[name]) ?? 0));
  for (const name of QUANTILES) {
    const row = view.querySelector(`[data-quantile="${name}"]`);
    setText(row.querySelector(".value"), formatDuration(latency[name]));
    row.querySelector("i").style.width = longest ? `${(100 * (numberOf(latency[name]) ?? 0)) / longest}%` : "0";
  }
  fillFields(view, { "latency-text": `of ${formatCountOf(latency.tasks, "task")}, as measured by the queue-worker` });
}

/** Announce changes of the state to screen readers, but not every number. */
function announceState(status) {
  const isSameBatch = drawnBatch.id === status.batch_id;
  if (isSameBatch && drawnBatch.state !== status.state) {
    const { good, bad } = progressOf(status);
    const counts = ENDED.has(status.state) ? `: ${formatCount(good)} succeeded, ${formatCount(bad)} failed` : "";
    announce(`Batch ${displayText(status.batch_id)} is ${displayText(status.state)}${counts}.`);
  }
  Object.assign(drawnBatch, { id: status.batch_id, state: status.state });
}
