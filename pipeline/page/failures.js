// The newest failures, grouped by kind. Their texts come from the model function, which may be hostile.

function drawFailures(failures) {
  const groups = Array.isArray(failures) ? failures.filter((group) => group !== null && typeof group === "object") : [];
  setVisible(byId("failures"), groups.length > 0);
  const keyOf = (group) => `${group.status_code} ${group.kind}`;
  setChildren(byId("failure-rows"), groups, keyOf, "failure-template", drawGroup);
}

/** Remove all rows, so that details opened for one batch are not open for the next. */
function clearFailures() {
  drawFailures([]);
}

function drawGroup(node, group) {
  const example = group.example ?? {};
  const index = numberOf(example.index);
  fillFields(node, {
    count: formatCount(group.count),
    kind: displayText(group.kind ?? group.status_code),
    when: failureTimes(group),
    index: index === null ? "" : `in row ${formatCount(index + 1)}`,
    item: displayText(example.item),
    result: displayText(example.result),
    call: displayText(example.call_id),
  });
}

function failureTimes(group) {
  const retried = numberOf(group.retried);
  const parts = retried ? [`${formatCount(retried)} retried`] : [];
  if (numberOf(group.at) !== null) parts.push(`last at ${formatTime(group.at)}`);
  return parts.join(" · ");
}
