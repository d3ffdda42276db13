// All batches: the open ones, then those that have ended.

function drawList(found) {
  const open = briefsOf(found.open);
  const ended = briefsOf(found.ended);
  show(byId("list-empty"), open.length + ended.length === 0);
  drawRows("open", open);
  drawRows("ended", ended);
  document.title = `${open.length ? `${open.length} open · ` : ""}Batches · ${functionName()}`;
}

function briefsOf(found) {
  return Array.isArray(found) ? found.filter((brief) => typeof brief?.batch_id === "string") : [];
}

function drawRows(kind, briefs) {
  show(byId(`list-${kind}`), briefs.length > 0);
  setText(byId(`${kind}-tally`), counted(briefs.length));
  setChildren(byId(`${kind}-rows`), briefs, (brief) => brief.batch_id, "row-template", drawRow);
}

function drawRow(row, brief) {
  const { whole, good, bad, percent } = progressOf(brief);
  const link = row.querySelector("a");
  setAttribute(link, "href", `?${new URLSearchParams({ batch: brief.batch_id })}`);
  link.dataset.batch = brief.batch_id;
  setBadge(row.querySelector(".badge"), brief.state);
  setBar(row.querySelector(".track"), good, bad, whole);
  fill(row, {
    id: shown(brief.batch_id),
    function: brief.function ? shown(brief.function) : "",
    created: whenOf(brief),
    counts: whole ? countsOf(whole, bad, percent) : uncounted(brief.state),
  });
}

function whenOf(brief) {
  const since = ago(brief.ended ?? brief.created);
  return brief.function && since ? `· ${since}` : since;
}

function countsOf(whole, bad, percent) {
  const failures = bad ? `, ${counted(bad)} failed` : "";
  return `${percent}% of ${counted(whole)}${failures}`;
}

function drawCommand() {
  const address = addressOf("");
  address.search = "";
  setText(byId("list-command"), `curl '${address.href.replaceAll("'", "%27")}' -H 'X-Mode: batch' -d data/rows.csv`);
}
