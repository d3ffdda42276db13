// Links to the outputs of an ended batch. They are signed and expire, so they are fetched only when they are shown.

const OUTPUTS = new Map([
  ["results.parquet", "Rows and results, Parquet"],
  ["results.csv", "Rows and results, CSV"],
  ["results.ndjson", "Rows and results, lines of JSON"],
  ["failures.csv", "Rows to submit again, CSV"],
  ["failures.parquet", "Rows to submit again, Parquet"],
  ["failures.ndjson", "Rows to submit again, lines of JSON"],
  ["sql.parquet", "Answer to the query, Parquet"],
  ["sql.csv", "Answer to the query, CSV"],
  ["sql.json", "Answer to the query, JSON"],
  ["report.json", "Report"],
  ["reduced.json", "Answer of the reduce function"],
]);
const outputs = { batch: "", version: "", parts: false };

/** Fetch the links when the batch has ended, and again after each redrive. */
function drawOutputs(status) {
  const ended = ENDED.has(status.state) && numberOf(status.started) !== null;
  setVisible(byId("outputs"), ended);
  const version = ended ? `${status.batch_id} ${status.generation} ${status.ended} ${reducedAt(status)}` : "";
  if (version === outputs.version) return;
  Object.assign(outputs, { batch: status.batch_id, version, parts: false });
  setChildren(byId("output-rows"), [], String, "output-template", drawOutput);
  if (ended) fetchOutputs();
}

async function fetchOutputs() {
  const { batch, version, parts } = outputs;
  const isCurrent = () => version === outputs.version && parts === outputs.parts;
  setNote(byId("outputs-problem"), "");
  try {
    const query = parts ? { batch, parts: "true" } : { batch };
    const answer = await callForDocument("outputs", query, { method: "GET" });
    if (isCurrent()) drawLinks(answer);
  } catch (error) {
    if (isCurrent()) setNote(byId("outputs-problem"), displayText(error.message));
  }
}

function drawLinks(answer) {
  const links = [
    { ...answer.summary, label: "Summary" },
    ...(answer.outputs ?? []).map((link) => ({ ...link, label: OUTPUTS.get(link.name) ?? "Output" })),
    ...(answer.snapshot ?? []).map((link) => ({ ...link, label: "Input" })),
    ...(answer.segments ?? []).map((link) => ({ ...link, label: outcomesLabel(link) })),
  ].filter((link) => typeof link.url === "string");
  setChildren(byId("output-rows"), links, (link) => String(link.key), "output-template", drawOutput);
  setVisible(byId("outputs-parts"), !outputs.parts);
  fillFields(byId("outputs"), {
    "outputs-until": numberOf(answer.expires) === null ? "" : `Links work until ${formatTime(answer.expires)}`,
  });
}

function outcomesLabel(link) {
  return `Outcomes, generation ${formatCount(link.generation)}`;
}

function drawOutput(node, link) {
  setLink(node.querySelector("a"), link.url);
  const description = [link.label, formatBytes(link.size)].filter(Boolean).join(" · ");
  fillFields(node, { key: displayText(link.key), size: description });
}

function bindOutputs() {
  byId("outputs-renew").addEventListener("click", fetchOutputs);
  byId("outputs-parts").addEventListener("click", () => {
    outputs.parts = true;
    fetchOutputs();
    byId("outputs-renew").focus();
  });
}
