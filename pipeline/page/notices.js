// Who is told that the batch has ended.

const TOLD = { due: "calm", delivered: "good", "given up": "bad" };

function noticesOf(status) {
  const found = status.notifications;
  return Array.isArray(found) ? found.filter((notice) => notice !== null && typeof notice === "object") : [];
}

/** Nothing of it will change any more. */
function isOver(status) {
  return ENDED.has(status.state) && noticesOf(status).every((notice) => notice.state !== "due");
}

/** When the function that reduces had answered: there is an output more since then. */
function reducedAt(status) {
  return noticesOf(status).find((notice) => notice.kind === "reduce" && notice.state === "delivered")?.at ?? "";
}

function drawNotices(status) {
  const notices = noticesOf(status).map((notice, place) => ({ ...notice, place }));
  show(byId("notices"), notices.length > 0);
  setChildren(byId("notice-rows"), notices, (notice) => String(notice.place), "notice-template", (node, notice) =>
    drawNotice(node, notice, ENDED.has(status.state)),
  );
}

function drawNotice(node, notice, ended) {
  const badge = node.querySelector(".badge");
  setText(badge, shown(ended ? notice.state : "at the end"));
  setAttribute(badge, "data-tone", (ended && Object.hasOwn(TOLD, notice.state) && TOLD[notice.state]) || "still");
  fill(node, { target: shown(notice.target), told: toldOf(notice) });
}

function toldOf(notice) {
  const parts = [notice.kind === "reduce" ? "reduces" : "is notified"];
  if (numberOf(notice.tries)) {
    parts.push(notice.tries === 1 ? "1 try" : `${counted(notice.tries)} tries`);
    if (numberOf(notice.at) !== null) {
      parts.push(`${numberOf(notice.status_code) === null ? "no answer" : notice.status_code} at ${timeOfDay(notice.at)}`);
    }
  }
  return parts.join(" · ");
}
