// Links to what an ended batch has written. They are signed, so they are fetched only to be shown, and they expire.

const OUTPUTS = new Map([
  ["results.parquet", "Rows and results, Parquet"],
  ["results.csv", "Rows and results, CSV"],
  ["results.ndjson", "Rows and results, lines of JSON"],
  ["failures.csv", "Rows to submit again, CSV"],
  ["failures.parquet", "Rows to submit again, Parquet"],
  ["failures.ndjson", "Rows to submit again, lines of JSON"],
  ["sql.parquet", "Answer of the query, Parquet"],
  ["sql.csv", "Answer of the query, CSV"],
  ["sql.json", "Answer of the query, JSON"],
  ["report.json", "Report"],
  ["reduced.json", "What the function made of it"],
]);
const outputs = { batch: "", version: "", parts: false };

/** Fetch the links when the batch has ended, or ended anew. */
function drawOutputs(status) {
  const ended = ENDED.has(status.state) && numberOf(status.started) !== null;
  show(byId("outputs"), ended);
  const version = ended ? `${status.batch_id} ${status.generation} ${status.ended} ${reducedAt(status)}` : "";
  if (version === outputs.version) return;
  Object.assign(outputs, { batch: status.batch_id, version, parts: false });
  setChildren(byId("output-rows"), [], String, "output-template", drawOutput);
  if (ended) fetchOutputs();
}

async function fetchOutputs() {
  const { batch, version, parts } = outputs;
  const isPresent = () => version === outputs.version && parts === outputs.parts;
  setNote(byId("outputs-problem"), "");
  try {
    const query = parts ? { batch, parts: "true" } : { batch };
    const found = await callForDocument("outputs", query, { method: "GET" });
    if (isPresent()) drawLinks(found);
  } catch (error) {
    if (isPresent()) setNote(byId("outputs-problem"), shown(error.message));
  }
}

function drawLinks(found) {
  const links = [
    { ...found.summary, label: "Summary" },
    ...(found.outputs ?? []).map((link) => ({ ...link, label: OUTPUTS.get(link.name) ?? "Output" })),
    ...(found.snapshot ?? []).map((link) => ({ ...link, label: "Input" })),
    ...(found.segments ?? []).map((link) => ({ ...link, label: `Outcomes, generation ${counted(link.generation)}` })),
  ].filter((link) => typeof link.url === "string");
  setChildren(byId("output-rows"), links, (link) => String(link.key), "output-template", drawOutput);
  show(byId("outputs-parts"), !outputs.parts);
  fill(byId("outputs"), {
    "outputs-until": numberOf(found.expires) === null ? "" : `Links work until ${timeOfDay(found.expires)}`,
  });
}

function drawOutput(node, link) {
  setLink(node.querySelector("a"), link.url);
  fill(node, { key: shown(link.key), size: [link.label, bytes(link.size)].filter(Boolean).join(" · ") });
}

function watchOutputs() {
  byId("outputs-renew").addEventListener("click", fetchOutputs);
  byId("outputs-parts").addEventListener("click", () => {
    outputs.parts = true;
    fetchOutputs();
    byId("outputs-renew").focus();
  });
}
