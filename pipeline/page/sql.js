// What the batch's query gave. Its texts come from the model function and the input, which may be hostile.

const SQL_ROWS = 10;
const SQL_COLUMNS = 50;

function drawSql(status) {
  const found = status.sql !== null && typeof status.sql === "object" ? status.sql : null;
  show(byId("sql"), found !== null);
  const failed = typeof found?.error === "string";
  const names = listOf(found?.columns).slice(0, SQL_COLUMNS);
  const rows = failed ? [] : listOf(found?.first).filter(Array.isArray).slice(0, SQL_ROWS);
  setNote(byId("sql-problem"), failed ? shown(found.error) : "");
  fill(byId("sql"), { "sql-count": failed || !found ? "" : rowCountOf(found.rows, rows.length) });
  show(byId("sql-scroll"), !failed && names.length > 0);
  drawCells(byId("sql-names"), names, "th");
  drawAnswerRows(byId("sql-rows"), rows, names.length);
}

function listOf(value) {
  return Array.isArray(value) ? value : [];
}

function rowCountOf(all, some) {
  const whole = several(all, "row");
  return numberOf(all) > some ? `The first ${counted(some)} of ${whole}` : whole;
}

function drawAnswerRows(body, rows, width) {
  while (body.children.length > rows.length) body.lastElementChild.remove();
  while (body.children.length < rows.length) body.append(document.createElement("tr"));
  rows.forEach((row, place) => {
    drawCells(body.children[place], Array.from({ length: width }, (_, column) => row[column]), "td");
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
  values.forEach((value, place) => {
    const cell = row.children[place];
    setText(cell.firstElementChild, shown(value));
    cell.classList.toggle("number", typeof value === "number");
  });
}
