// The list of batches: the open ones, then the ended ones.

function drawList(batches) {
  const open = briefsOf(batches.open);
  const ended = briefsOf(batches.ended);
  setVisible(byId("list-empty"), open.length + ended.length === 0);
  drawRows("open", open);
  drawRows("ended", ended);
  document.title = `${open.length ? `${open.length} open · ` : ""}Batches · ${functionName()}`;
}

function briefsOf(list) {
  return Array.isArray(list) ? list.filter((brief) => typeof brief?.batch_id === "string") : [];
}

function drawRows(kind, briefs) {
  setVisible(byId(`list-${kind}`), briefs.length > 0);
  setText(byId(`${kind}-tally`), formatCount(briefs.length));
  setChildren(byId(`${kind}-rows`), briefs, (brief) => brief.batch_id, "row-template", drawRow);
}

function drawRow(row, brief) {
  const { total, good, bad, percent } = progressOf(brief);
  const link = row.querySelector("a");
  setAttribute(link, "href", `?${new URLSearchParams({ batch: brief.batch_id })}`);
  link.dataset.batch = brief.batch_id;
  setBadge(row.querySelector(".badge"), brief.state);
  setBar(row.querySelector(".track"), good, bad, total);
  fillFields(row, {
    id: displayText(brief.batch_id),
    function: brief.function ? displayText(brief.function) : "",
    created: timeOf(brief),
    counts: total ? countsOf(total, bad, percent) : textWithoutCount(brief.state),
  });
}

function timeOf(brief) {
  const since = formatAge(brief.ended ?? brief.created);
  return brief.function && since ? `· ${since}` : since;
}

function countsOf(total, bad, percent) {
  const failures = bad ? `, ${formatCount(bad)} failed` : "";
  return `${percent}% of ${formatCount(total)}${failures}`;
}

function drawCommand() {
  const address = addressWith("");
  address.search = "";
  setText(byId("list-command"), `curl '${address.href.replaceAll("'", "%27")}' -H 'X-Mode: batch' -d data/rows.csv`);
}
