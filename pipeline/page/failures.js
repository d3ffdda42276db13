// The newest failures, grouped by kind. All of their texts come from the model function, which may be hostile.

function drawFailures(found) {
  const groups = Array.isArray(found) ? found.filter((group) => group !== null && typeof group === "object") : [];
  show(byId("failures"), groups.length > 0);
  setChildren(byId("failure-rows"), groups, (group) => `${group.status_code} ${group.kind}`, "failure-template", drawGroup);
}

/** What somebody has opened is of one batch. */
function forgetFailures() {
  drawFailures([]);
}

function drawGroup(node, group) {
  const example = group.example ?? {};
  const place = numberOf(example.index);
  fill(node, {
    count: counted(group.count),
    kind: shown(group.kind ?? group.status_code),
    when: whenFailed(group),
    index: place === null ? "" : `in row ${counted(place + 1)}`,
    item: shown(example.item),
    result: shown(example.result),
    call: shown(example.call_id),
  });
}

function whenFailed(group) {
  const retried = numberOf(group.retried);
  const parts = retried ? [`${counted(retried)} tried again`] : [];
  if (numberOf(group.at) !== null) parts.push(`last at ${timeOfDay(group.at)}`);
  return parts.join(" · ");
}
