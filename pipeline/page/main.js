// The current view, and the feed that brings its documents.

const VIEWS = ["wait", "token", "problem", "list", "batch"];
const CONNECTION_TEXTS = {
  live: "Live",
  polling: "Every 2 s",
  waiting: "Reconnecting",
  idle: "Up to date",
  off: "Not connected",
};

// `moved`: the visitor has navigated since the page was opened.
const current = { batch: null, feed: null, moved: false };

function functionName() {
  const match = /\/function\/([^/]+)/.exec(location.pathname);
  try {
    return match ? decodeURIComponent(match[1]) : "pipeline";
  } catch {
    return match[1];
  }
}

/** Show one view, and focus its heading, as a browser does with a new page. */
function showView(name) {
  const view = byId(`view-${name}`);
  if (!view.hidden) return;
  for (const other of VIEWS) setVisible(byId(`view-${other}`), other === name);
  window.scrollTo(0, 0);
  if (current.moved) view.querySelector("h1").focus({ preventScroll: true });
}

function drawConnection(state) {
  if (state === "live" || state === "polling") setNote(byId("feed-problem"), "");
  setAttribute(byId("connection"), "data-link", state);
  setText(byId("connection-text"), CONNECTION_TEXTS[state]);
}

/** Show an error: ask for a token, show that a batch does not exist, or note that the server has a problem. */
function showError(error) {
  if (error.status === 401) {
    // No call before there is a token: its answer would empty the field while the visitor types.
    current.feed?.stop();
    current.feed = null;
    drawConnection("off");
    const hadToken = readToken() !== "";
    storeToken("");
    showView("token");
    askForToken(hadToken ? displayText(error.message) : "");
    document.title = `Token needed · ${functionName()}`;
  } else if (FINAL_STATUSES.has(error.status)) {
    setNote(byId("feed-problem"), "");
    setText(byId("problem-text"), displayText(error.message));
    showView("problem");
    document.title = `${error.status} · ${current.batch || functionName()}`;
  } else {
    setNote(byId("feed-problem"), `${displayText(error.message)}\nTrying again.`);
  }
}

function drawDocument(answer) {
  if (current.batch) drawBatch(answer);
  else drawList(answer);
  showView(current.batch ? "batch" : "list");
}

/** Start a new feed for the current batch or list: after navigation, with a new token, or when a batch continues. */
function restartFeed() {
  current.feed?.stop();
  const feed = new Feed(current.batch ? { batch: current.batch } : {}, {
    onDocument: drawDocument,
    onError: showError,
    onConnection: drawConnection,
  });
  current.feed = feed;
  if (!document.hidden) feed.start();
}

/** Open the batch or the list that the address names. */
function openAddress() {
  const batch = new URLSearchParams(location.search).get("batch") ?? "";
  if (batch !== current.batch) {
    current.moved = current.batch !== null;
    clearFailures();
    setNote(byId("action-problem"), "");
    setNote(byId("feed-problem"), "");
    actions.batch = "";
    if (byId("confirm").open) byId("confirm").close();
    showView("wait");
  }
  current.batch = batch;
  restartFeed();
}

function navigateTo(batch) {
  const address = addressWith(batch ? { batch } : "");
  if (address.href !== location.href) history.pushState(null, "", address);
  openAddress();
}

/** Handle a link within the page; with a modifier key it opens like any other link. */
function handleLinkClick(event) {
  const link = event.target.closest("a[data-batch]");
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigateTo(link.dataset.batch);
}

function start() {
  setText(byId("function-name"), displayText(functionName()));
  drawCommand();
  bindTokenForm(restartFeed);
  bindActions();
  bindOutputs();
  document.addEventListener("click", handleLinkClick);
  byId("problem-again").addEventListener("click", restartFeed);
  window.addEventListener("popstate", openAddress);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) current.feed?.stop();
    else current.feed?.start();
  });
  setInterval(() => { if (!byId("view-batch").hidden && !document.hidden) drawElapsed(); }, 1000);
  openAddress();
}

start();
