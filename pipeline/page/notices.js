// The notifications of the batch's end.

const NOTICE_TONES = { due: "calm", delivered: "good", "given up": "bad" };

function noticesOf(status) {
  const { notifications } = status;
  if (!Array.isArray(notifications)) return [];
  return notifications.filter((notice) => notice !== null && typeof notice === "object");
}

/** Whether nothing in the status will change any more. */
function isFinal(status) {
  return ENDED.has(status.state) && noticesOf(status).every((notice) => notice.state !== "due");
}

/** The time of the answer of the reduce function: since then there is one more output. */
function reducedAt(status) {
  return noticesOf(status).find((notice) => notice.kind === "reduce" && notice.state === "delivered")?.at ?? "";
}

function drawNotices(status) {
  const notices = noticesOf(status).map((notice, index) => ({ ...notice, index }));
  setVisible(byId("notices"), notices.length > 0);
  setChildren(byId("notice-rows"), notices, (notice) => String(notice.index), "notice-template", (node, notice) =>
    drawNotice(node, notice, ENDED.has(status.state)),
  );
}

function drawNotice(node, notice, ended) {
  const badge = node.querySelector(".badge");
  setText(badge, displayText(ended ? notice.state : "at the end"));
  setTone(badge, NOTICE_TONES, ended ? notice.state : null);
  fillFields(node, { target: displayText(notice.target), delivery: noticeText(notice) });
}

function noticeText(notice) {
  const parts = [notice.kind === "reduce" ? "reduces" : "is notified"];
  if (numberOf(notice.tries)) {
    parts.push(notice.tries === 1 ? "1 try" : `${formatCount(notice.tries)} tries`);
    if (numberOf(notice.at) !== null) {
      const answer = numberOf(notice.status_code) ?? "no answer";
      parts.push(`${answer} at ${formatTime(notice.at)}`);
    }
  }
  return parts.join(" · ");
}
