// What can be asked of a batch, as its state allows it.

const RUNNABLE = new Set(["opening", "running"]);
const STEERABLE = new Set(["opening", "running", "paused", "closing", "reducing"]);
const FITS = {
  pause: ({ state }) => RUNNABLE.has(state),
  resume: ({ state }) => state === "paused",
  cancel: ({ state }) => RUNNABLE.has(state) || state === "paused",
  redrive: (status) => ENDED.has(status.state) && numberOf(status.started) !== null && status.succeeded < status.items,
  delete: ({ state }) => ENDED.has(state),
};
const QUESTIONS = {
  cancel: () => ["Cancel this batch?", "What is in flight settles, and the summary is written with what there is. You can redrive the rest later.", "Cancel the batch"],
  delete: () => ["Delete this batch?", "Its summary and all its other objects are deleted from the bucket. Your own input stays. This cannot be undone.", "Delete it"],
  redrive: () => ["Redrive this batch?", `It runs ${missing(batchShown.status)}. Everything else stays.`, "Redrive it"],
};

const actions = { batch: "", busy: false, fits: {} };

/** What a redrive runs: it may be far more than has failed. */
function missing(status) {
  const { bad, left } = progressOf(status);
  const parts = [[bad, "failed item"], [left, "item"]].filter(([count]) => count);
  return parts.map(([count, noun]) => several(count, noun) + (noun === "item" ? " that never ran" : "")).join(" and ");
}

function drawActions(status) {
  if (actions.batch !== status.batch_id) clearTuning();
  actions.batch = status.batch_id;
  for (const [mode, fits] of Object.entries(FITS)) actions.fits[mode] = fits(status);
  enableActions();
  byId("tune-fields").disabled = !STEERABLE.has(status.state);
  drawTuning(status);
}

/** Never leave the focus on a button that has gone dead: it goes to the first that is alive. */
function enableActions() {
  const buttons = [...byId("batch-actions").children];
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = !actions.fits[button.dataset.mode];
  if (buttons.includes(focused) && focused.disabled) {
    (buttons.find((button) => !button.disabled) ?? byId("batch-title")).focus({ preventScroll: true });
  }
}

function drawTuning(status) {
  const window = numberOf(status.window);
  const rate = numberOf(status.rate_limit);
  setUnlessEdited(byId("tune-window"), window === null ? "" : String(window));
  setUnlessEdited(byId("tune-rate"), rate === null ? "" : String(rate));
}

/** What somebody is writing is theirs until it is sent. */
function setUnlessEdited(input, value) {
  if (input.dataset.edited !== "true" && input.value !== value) input.value = value;
}

function clearTuning() {
  for (const input of [byId("tune-window"), byId("tune-rate")]) input.dataset.edited = "false";
}

/** Call a mode for the batch that is shown; returns the answer, or null where it was refused, which is then shown. */
async function act(mode, query = {}) {
  if (actions.busy) return null;
  actions.busy = true;
  const { batch } = actions;
  const problem = byId("action-problem");
  setNote(problem, "");
  try {
    return await callForDocument(mode, { batch, ...query });
  } catch (error) {
    if (error.status === 401) refuse(error);
    else if (actions.batch === batch) setNote(problem, shown(error.message));
    return null;
  } finally {
    actions.busy = false;
  }
}

async function press(mode) {
  const { batch } = actions;
  if (QUESTIONS[mode] && !(await confirmed(...QUESTIONS[mode]()))) return;
  if (actions.batch !== batch) return;
  const answer = await act(mode);
  if (answer === null || actions.batch !== batch) return;
  if (answer.deleted) {
    go("");
    announce(`Batch ${batch} is deleted.`);
  } else {
    // What comes of it is announced as the state that it leads to.
    if (answer.redriven === 0) announce("Nothing failed, so nothing runs again.");
    follow();
  }
}

async function tune(event) {
  event.preventDefault();
  const [width, rate] = [byId("tune-window"), byId("tune-rate")];
  for (const input of [width, rate]) if (!input.reportValidity()) return;
  if ((await act("tune", { window: width.value, rate: rate.value || "0" })) === null) return;
  clearTuning();
  announce("Window and rate are changed.");
  follow();
}

function watchActions() {
  for (const button of byId("batch-actions").children) {
    button.addEventListener("click", () => press(button.dataset.mode));
  }
  byId("tune").addEventListener("submit", tune);
  byId("tune").addEventListener("input", (event) => { event.target.dataset.edited = "true"; });
}
