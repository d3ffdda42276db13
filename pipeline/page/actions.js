// The actions on a batch that its state allows.

const PAUSABLE = new Set(["opening", "running"]);
const TUNABLE = new Set(["opening", "running", "paused", "closing", "reducing"]);
const IS_ALLOWED = {
  pause: ({ state }) => PAUSABLE.has(state),
  resume: ({ state }) => state === "paused",
  cancel: ({ state }) => PAUSABLE.has(state) || state === "paused",
  redrive: (status) => ENDED.has(status.state) && numberOf(status.started) !== null && status.succeeded < status.items,
  delete: ({ state }) => ENDED.has(state),
};
const QUESTIONS = {
  cancel: () => [
    "Cancel this batch?",
    "Tasks in flight settle, and the summary is written from the outcomes so far. You can redrive the rest later.",
    "Cancel the batch",
  ],
  delete: () => [
    "Delete this batch?",
    "Its summary and all its other objects are deleted from the bucket. Your own input stays. This cannot be undone.",
    "Delete it",
  ],
  redrive: () => [
    "Redrive this batch?",
    `It runs ${redrivenItems(drawnBatch.status)}. All other outcomes stay.`,
    "Redrive it",
  ],
};

const actions = { batch: "", busy: false, allowed: {} };

/** The items that a redrive runs: failed ones, and those that never ran. */
function redrivenItems(status) {
  const { bad, left } = progressOf(status);
  const parts = [];
  if (bad) parts.push(formatCountOf(bad, "failed item"));
  if (left) parts.push(`${formatCountOf(left, "item")} that never ran`);
  return parts.join(" and ");
}

function drawActions(status) {
  if (actions.batch !== status.batch_id) clearTuning();
  actions.batch = status.batch_id;
  for (const [mode, isAllowed] of Object.entries(IS_ALLOWED)) actions.allowed[mode] = isAllowed(status);
  enableActions();
  byId("tune-fields").disabled = !TUNABLE.has(status.state);
  drawTuning(status);
}

/** Enable the allowed buttons. A disabled button must not keep the focus: it moves to the first enabled one. */
function enableActions() {
  const buttons = [...byId("batch-actions").children];
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = !actions.allowed[button.dataset.mode];
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

/** Do not overwrite an input that the visitor is editing. */
function setUnlessEdited(input, value) {
  if (input.dataset.edited !== "true" && input.value !== value) input.value = value;
}

function clearTuning() {
  for (const input of [byId("tune-window"), byId("tune-rate")]) input.dataset.edited = "false";
}

/** Call a mode for the shown batch; returns the answer, or null after an error, which is shown. */
async function control(mode, query = {}) {
  if (actions.busy) return null;
  actions.busy = true;
  const { batch } = actions;
  const problem = byId("action-problem");
  setNote(problem, "");
  try {
    return await callForDocument(mode, { batch, ...query });
  } catch (error) {
    if (error.status === 401) showError(error);
    else if (actions.batch === batch) setNote(problem, displayText(error.message));
    return null;
  } finally {
    actions.busy = false;
  }
}

async function pressAction(mode) {
  const { batch } = actions;
  if (QUESTIONS[mode] && !(await confirmAction(...QUESTIONS[mode]()))) return;
  if (actions.batch !== batch) return;
  const answer = await control(mode);
  if (answer === null || actions.batch !== batch) return;
  if (answer.deleted) {
    navigateTo("");
    announce(`Batch ${batch} is deleted.`);
  } else {
    // The result is announced as a change of state.
    if (answer.redriven === 0) announce("No item failed, so nothing runs again.");
    restartFeed();
  }
}

async function tune(event) {
  event.preventDefault();
  const [windowInput, rateInput] = [byId("tune-window"), byId("tune-rate")];
  for (const input of [windowInput, rateInput]) if (!input.reportValidity()) return;
  if ((await control("tune", { window: windowInput.value, rate: rateInput.value || "0" })) === null) return;
  clearTuning();
  announce("Window and rate are changed.");
  restartFeed();
}

function bindActions() {
  for (const button of byId("batch-actions").children) {
    button.addEventListener("click", () => pressAction(button.dataset.mode));
  }
  byId("tune").addEventListener("submit", tune);
  byId("tune").addEventListener("input", (event) => { event.target.dataset.edited = "true"; });
}
