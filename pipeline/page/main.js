// Which view is shown, and where its documents come from.

const VIEWS = ["wait", "token", "problem", "list", "batch"];
const LINKS = {
  live: "Live",
  polling: "Every 2 s",
  waiting: "Reconnecting",
  idle: "Up to date",
  off: "Not connected",
};

// `moved`: since the page was opened somebody has gone to another place on it.
const place = { batch: null, feed: null, moved: false };

function functionName() {
  const found = /\/function\/([^/]+)/.exec(location.pathname);
  try {
    return found ? decodeURIComponent(found[1]) : "pipeline";
  } catch {
    return found[1];
  }
}

/** Show one view; the focus goes to its heading, as it would go to a page that is opened. */
function showView(name) {
  const view = byId(`view-${name}`);
  if (!view.hidden) return;
  for (const other of VIEWS) show(byId(`view-${other}`), other === name);
  window.scrollTo(0, 0);
  if (place.moved) view.querySelector("h1").focus({ preventScroll: true });
}

function drawLink(state) {
  if (state === "live" || state === "polling") setNote(byId("feed-problem"), "");
  setAttribute(byId("connection"), "data-link", state);
  setText(byId("connection-text"), LINKS[state]);
}

/** What cannot be shown: a token is asked for, a batch is gone, or the server has a moment of trouble. */
function refuse(error) {
  if (error.status === 401) {
    // Nothing is asked before there is a token: an answer would empty the field that it is being written into.
    place.feed?.stop();
    place.feed = null;
    drawLink("off");
    const tried = readToken() !== "";
    keepToken("");
    showView("token");
    askForToken(tried ? shown(error.message) : "");
    document.title = `Token needed · ${functionName()}`;
  } else if (FINAL.has(error.status)) {
    setNote(byId("feed-problem"), "");
    setText(byId("problem-text"), shown(error.message));
    showView("problem");
    document.title = `${error.status} · ${place.batch || functionName()}`;
  } else {
    setNote(byId("feed-problem"), `${shown(error.message)}\nTrying again.`);
  }
}

function draw(found) {
  if (place.batch) drawBatch(found);
  else drawList(found);
  showView(place.batch ? "batch" : "list");
}

/** Follow what the address names, from the beginning: another place, another token, or a batch that goes on. */
function follow() {
  place.feed?.stop();
  const feed = new Feed(place.batch ? { batch: place.batch } : {}, {
    document: draw,
    refused: refuse,
    link: drawLink,
  });
  place.feed = feed;
  if (!document.hidden) feed.start();
}

/** Take the place from the address. */
function arrive() {
  const batch = new URLSearchParams(location.search).get("batch") ?? "";
  if (batch !== place.batch) {
    place.moved = place.batch !== null;
    forgetFailures();
    setNote(byId("action-problem"), "");
    setNote(byId("feed-problem"), "");
    actions.batch = "";
    if (byId("confirm").open) byId("confirm").close();
    showView("wait");
  }
  place.batch = batch;
  follow();
}

function go(batch) {
  const address = addressOf(batch ? { batch } : "");
  if (address.href !== location.href) history.pushState(null, "", address);
  arrive();
}

/** Links within the page; with a modifier key they open as any other link. */
function takeClick(event) {
  const link = event.target.closest("a[data-batch]");
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.dataset.batch);
}

function begin() {
  setText(byId("function-name"), shown(functionName()));
  drawCommand();
  watchTokenForm(follow);
  watchActions();
  watchOutputs();
  document.addEventListener("click", takeClick);
  byId("problem-again").addEventListener("click", follow);
  window.addEventListener("popstate", arrive);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) place.feed?.stop();
    else place.feed?.start();
  });
  setInterval(() => { if (!byId("view-batch").hidden && !document.hidden) drawElapsed(); }, 1000);
  arrive();
}

begin();
