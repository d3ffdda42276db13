// The answer to the batch's query. Its texts come from the model function and the input, which may be hostile.

const SQL_ROWS = 10;
const SQL_COLUMNS = 50;

function drawSql(status) {
  const answer = status.sql !== null && typeof status.sql === "object" ? status.sql : null;
  setVisible(byId("sql"), answer !== null);
  const failed = typeof answer?.error === "string";
  const names = listOf(answer?.columns).slice(0, SQL_COLUMNS);
  const rows = failed ? [] : listOf(answer?.first).filter(Array.isArray).slice(0, SQL_ROWS);
  setNote(byId("sql-problem"), failed ? displayText(answer.error) : "");
  fillFields(byId("sql"), { "sql-count": failed || !answer ? "" : rowCountOf(answer.rows, rows.length) });
  setVisible(byId("sql-scroll"), !failed && names.length > 0);
  drawCells(byId("sql-names"), names, "th");
  drawAnswerRows(byId("sql-rows"), rows, names.length);
}

function listOf(value) {
  return Array.isArray(value) ? value : [];
}

function rowCountOf(total, drawn) {
  const text = formatCountOf(total, "row");
  return numberOf(total) > drawn ? `The first ${formatCount(drawn)} of ${text}` : text;
}

function drawAnswerRows(body, rows, width) {
  while (body.children.length > rows.length) body.lastElementChild.remove();
  while (body.children.length < rows.length) body.append(document.createElement("tr"));
  rows.forEach((row, index) => {
    drawCells(body.children[index], Array.from({ length: width }, (_, column) => row[column]), "td");
  });
}

function drawCells(row, values, name) {
  while (row.children.length > values.length) row.lastElementChild.remove();
  while (row.children.length < values.length) {
    const cell = document.createElement(name);
    if (name === "th") cell.scope = "col";
    cell.append(document.createElement("bdi"));
    row.append(cell);
  }
  values.forEach((value, index) => {
    const cell = row.children[index];
    setText(cell.firstElementChild, displayText(value));
    cell.classList.toggle("number", typeof value === "number");
  });
}
