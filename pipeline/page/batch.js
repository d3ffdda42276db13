// One batch.

const QUANTILES = ["p50", "p90", "p99", "max"];
const batchShown = { id: "", state: "", status: null, since: 0 };

function drawBatch(status) {
  const view = byId("view-batch");
  Object.assign(batchShown, { status, since: performance.now() });
  const running = !ENDED.has(status.state);
  fill(view, {
    id: shown(status.batch_id),
    origin: originOf(status),
    reason: shown(status.reason),
    trouble: shown(status.trouble),
    notes: notesOf(status).map(shown).join(" · "),
    settled: `${counted(status.settled)} of ${counted(status.tasks)}`,
    "in-flight": counted(status.in_flight),
    window: counted(status.window),
    "rate-limit": numberOf(status.rate_limit) === null ? "none" : perSecond(status.rate_limit),
    generation: counted(status.generation),
  });
  for (const note of ["reason", "trouble"]) show(view.querySelector(`[data-note="${note}"]`), Boolean(status[note]));
  show(view.querySelector('[data-note="notes"]'), notesOf(status).length > 0);
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
  fill(view, { "summary-key": status.links?.summary ? shown(status.links.summary) : "" });
  drawActions(status);
  announceState(status);
}

function notesOf(status) {
  return Array.isArray(status.notes) ? status.notes : [];
}

function originOf(status) {
  const parts = [];
  if (status.function) parts.push(`\u2068${shown(status.function)}\u2069`);
  if (numberOf(status.created) !== null) parts.push(`submitted ${moment(status.created)}`);
  return parts.join(" · ");
}

/** What is said in place of a count: an input may have no rows. */
function uncounted(state) {
  return state === "done" ? "no items" : "not counted yet";
}

/** How many items of it succeeded, failed and are left, as numbers whatever is missing. */
function progressOf({ items, succeeded, failed }) {
  const [whole, good, bad] = [items, succeeded, failed].map((value) => numberOf(value) ?? 0);
  return { whole, good, bad, left: Math.max(0, whole - good - bad), percent: percentOf(good + bad, whole) };
}

function drawProgress(view, status) {
  const { whole, good, bad, left, percent } = progressOf(status);
  const bar = byId("batch-progress");
  const counts = `${counted(good)} succeeded, ${counted(bad)} failed, ${counted(left)} left`;
  setBar(bar, good, bad, whole);
  setAttribute(bar, "aria-valuenow", percent ?? 0);
  setAttribute(bar, "aria-valuetext", whole ? `${percent}%: ${counts}` : uncounted(status.state));
  fill(view, {
    percent: percent === null ? NONE : `${percent}%`,
    of: whole ? `${counted(good + bad)} of ${several(whole, "item")}` : uncounted(status.state),
    succeeded: counted(good),
    failed: counted(bad),
    left: counted(left),
    retried: counted(status.retried),
  });
  document.title = `${percent === null ? "" : `${percent}% `}${shown(status.state)} · ${shown(status.batch_id)}`;
}

function drawPace(view, status, running) {
  fill(view, {
    rate: perSecond(status.rate),
    "eta-label": running ? "Time left" : "Ended",
    eta: running ? etaOf(status) : dayAndTime(status.ended),
  });
}

function etaOf(status) {
  if (status.state === "paused") return "paused";
  return numberOf(status.eta) === null ? NONE : `≈ ${duration(Math.ceil(status.eta))}`;
}

/** A batch that runs grows older between two documents. */
function drawElapsed() {
  const { status, since } = batchShown;
  const known = numberOf(status?.elapsed);
  if (known === null) return;
  const grows = !ENDED.has(status.state) && numberOf(status.started) !== null;
  const passed = grows ? (performance.now() - since) / 1000 : 0;
  fill(byId("view-batch"), { elapsed: grows ? ticking(known + passed) : duration(known) });
}

function drawLatency(view, latency) {
  show(byId("latency"), Boolean(latency));
  if (!latency) return;
  const longest = Math.max(...QUANTILES.map((name) => numberOf(latency[name]) ?? 0));
  for (const name of QUANTILES) {
    const row = view.querySelector(`[data-quantile="${name}"]`);
    setText(row.querySelector(".value"), duration(latency[name]));
    row.querySelector("i").style.width = longest ? `${(100 * (numberOf(latency[name]) ?? 0)) / longest}%` : "0";
  }
  fill(view, { "latency-text": `of ${several(latency.tasks, "task")}, as the queue-worker saw them` });
}

/** Say aloud what changes the meaning of the page, not every number. */
function announceState(status) {
  const known = batchShown.id === status.batch_id;
  if (known && batchShown.state !== status.state) {
    const { good, bad } = progressOf(status);
    const counts = ENDED.has(status.state) ? `: ${counted(good)} succeeded, ${counted(bad)} failed` : "";
    announce(`Batch ${shown(status.batch_id)} is ${shown(status.state)}${counts}.`);
  }
  Object.assign(batchShown, { id: status.batch_id, state: status.state });
}
