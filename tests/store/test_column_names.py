"""Names of columns: polars reads some as patterns, and DuckDB takes some for its own, but a name is only a name."""

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.client.join_table import join
from pipeline.inputs.items import as_json, as_objects, as_text
from pipeline.inputs.parquet_rows import ParquetRows
from pipeline.inputs.peek_columns import _peek_csv, read_columns
from pipeline.inputs.reader import Source, piece_path, rewrite
from pipeline.outputs.pieces import Pieces
from pipeline.spec.batch_spec import BatchSpec
from pipeline.sql.check import Order
from pipeline.sql.child import durations, run_query
from pipeline.sql.runner import RUN
from pipeline.sql.session import Session
from pipeline.store.columns import INDEX, ITEM, OUTCOME_TYPES, table_names, table_schema
from pipeline.store.cut_tasks import Cutter, row_sizes
from pipeline.store.text_formats import to_csv, to_lines_again, to_ndjson
from tests.rigs.csv_items import scan

PATTERNS = ("^a$", "^.*$", "^$", "*", "^pipeline.*$", "^(a|b)$", "^[$", "", '"', "'", "a.b", "$.a", "a, b", "status")
COLUMNS: dict[str, pl.Series] = {
    "text": pl.Series(["1", None, "ä"]),
    "number": pl.Series([1, None, 3]),
    "list": pl.Series([["a", None], None, []]),
    "bytes": pl.Series([b"a", None, b"\xff"]),
    "nested": pl.Series([[b"a"], None, []]),
    "time": pl.Series([datetime(2026, 1, 2, tzinfo=UTC), None, datetime(2026, 1, 3, tzinfo=UTC)]),
    "json": pl.Series(['{"a":1}', None, "[2]"]),
    "blank": pl.Series([None, None, None], dtype=pl.String),
}
names = st.one_of(
    st.sampled_from(PATTERNS),
    st.from_regex(r"\A\^[a-z.*()|\[\]]{0,6}\$\Z"),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
)
# SQL has no empty name.
named = st.lists(names.filter(bool), min_size=len(COLUMNS) + 2, max_size=len(COLUMNS) + 2, unique_by=str.lower)
drawn = st.lists(names, min_size=len(COLUMNS) + 2, max_size=len(COLUMNS) + 2, unique_by=str.lower)
examples = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def frame_of(drawn: list[str]) -> pl.DataFrame:
    """A frame whose columns, and the fields of a struct, have these names."""
    fields = pl.DataFrame({drawn[-2]: [b"x", b"", None], drawn[-1]: [1, 2, 3]}).to_struct()
    return pl.DataFrame(dict(zip(drawn, [*COLUMNS.values(), fields], strict=False)))


def without_struct(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({each.name: each for each in frame.get_columns()[:-1]})


def cells_of(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def json_name(drawn: list[str]) -> str:
    return drawn[list(COLUMNS).index("json")]


HARMLESS = [f"column_{number}" for number in range(len(COLUMNS) + 2)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def fresh(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def values_of(lines: bytes) -> list[list[Any]]:
    return [[json.loads(json.dumps(value)) for value in json.loads(line).values()] for line in lines.splitlines()]


def without_names(value: Any) -> Any:
    """A value of JSON with the fields of its objects numbered."""
    if isinstance(value, dict):
        return [without_names(each) for each in value.values()]
    return [without_names(each) for each in value] if isinstance(value, list) else value


@examples
@given(drawn)
def test_rows_have_the_same_sizes_and_tasks(drawn: list[str]) -> None:
    frame, plain = frame_of(drawn), frame_of(HARMLESS)
    assert row_sizes(frame).to_list() == row_sizes(plain).to_list()
    cutter = Cutter(2)
    items = pl.Series(["a", "b", "c"])
    parts = [
        *cutter.feed(frame.with_columns(items.alias(ITEM), pl.int_range(3, eager=True).alias(INDEX))),
        *cutter.rest(),
    ]
    assert cutter.tasks == 2
    assert [series.name for series in parts[0].get_columns()][: len(drawn) - 1] == frame.columns


@examples
@given(drawn)
def test_texts_have_the_names_and_the_same_cells(drawn: list[str]) -> None:
    frame, plain = frame_of(drawn), frame_of(HARMLESS)
    lines = to_ndjson(frame, frozenset({json_name(drawn)}))
    assert all(list(json.loads(line)) == frame.columns for line in lines.splitlines())
    assert without_names(values_of(lines)) == without_names(
        values_of(to_ndjson(plain, frozenset({json_name(HARMLESS)})))
    )
    for write in (to_csv, to_lines_again):
        head, *rows = cells_of(write(without_struct(frame), header=True))
        assert head == frame.columns[:-1]
        assert rows == cells_of(write(without_struct(plain), header=True))[1:]


@examples
@given(drawn)
def test_items_are_those_of_the_column(drawn: list[str]) -> None:
    frame, plain = frame_of(drawn), frame_of(HARMLESS)
    json_columns, plain_json = frozenset({json_name(drawn)}), frozenset({json_name(HARMLESS)})
    for name, other in zip(frame.columns, plain.columns, strict=True):
        items = as_json(frame, name, json_columns)
        assert without_names([*map(json.loads, items)]) == without_names(
            [*map(json.loads, as_json(plain, other, plain_json))]
        )
    assert as_text(frame, drawn[0], "")[ITEM].to_list() == ["1", "", "ä"]
    objects = [json.loads(text) for text in as_objects(frame, frame.columns, json_columns)]
    assert [list(each) for each in objects] == [frame.columns] * 3


@examples
@given(
    st.lists(names.filter(lambda name: '"' not in name), min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "x"]),
)
def test_csv_keeps_its_names(folder: Path, columns: list[str], cell: str) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([columns, ["1"] * len(columns)])
    body = (
        text.getvalue().encode() + b"," * (len(columns) - 1) + b"\n" + cell.encode() + b"," * (len(columns) - 1) + b"\n"
    )
    rows = scan(folder, body, column=columns[0])
    (frame,) = rows.frames
    assert frame.columns == rows.empty.columns == columns
    # A line of one missing cell is a blank one.
    assert frame.height == (3 if len(columns) > 1 else 1 + bool(cell))
    peeked = _peek_csv(body, BatchSpec(input="a.csv", function="f", column=columns[0] or None))
    assert peeked is not None
    assert list(peeked) == columns


@examples
@given(drawn)
def test_parquet_keeps_its_names(folder: Path, drawn: list[str]) -> None:
    path = fresh(folder) / "input"
    frame = frame_of(drawn)
    frame.write_parquet(path)
    table = ParquetRows.open(path, 10)
    assert list(table.schema) == frame.columns
    (rows,) = table.frames()
    assert rows.equals(frame)
    assert pl.read_ipc(read_columns(path.read_bytes())).columns == frame.columns


@examples
@given(st.lists(names, min_size=1, max_size=3, unique=True))
def test_lines_of_json_keep_their_names(folder: Path, columns: list[str]) -> None:
    path = fresh(folder) / "input"
    path.with_suffix(".rows").mkdir()
    path.write_text("".join(json.dumps(dict.fromkeys(columns, value)) + "\n" for value in (1, {"^a$": 2})))
    contents = rewrite(Source("ndjson", str(path), 10))
    assert sorted(contents.json_columns) == sorted(columns)
    assert pl.read_ipc(piece_path(path.with_suffix(".rows"), 0)).columns == columns


def joined(drawn: list[str], rows: int) -> pl.DataFrame:
    """A joined table with columns of these names."""
    frame = frame_of(drawn).head(rows)
    schema = table_schema(dict(frame.schema))
    own = dict(zip(table_names(frame.columns), frame.get_columns(), strict=True))
    return pl.DataFrame(
        own | {name: pl.Series([None] * rows, dtype=kind) for name, kind in OUTCOME_TYPES.items()}, schema
    )


@examples
@given(named)
def test_query_reads_every_column(folder: Path, drawn: list[str]) -> None:
    place, table = fresh(folder), joined(drawn, 3)
    pieces = Pieces(place)
    pieces.close(table)
    answer = run_query(
        Order(sql="SELECT * FROM results", limits=RUN, pieces=[str(each) for each in pieces.paths], folder=str(place))
    )
    assert answer.error is None
    assert (answer.rows, answer.columns) == (3, table.columns)
    pieces.sink(place / "whole", table.width)
    assert pl.read_parquet(place / "whole", glob=False).columns == table.columns


@examples
@given(named)
def test_query_names_every_column(folder: Path, drawn: list[str]) -> None:
    place, table = fresh(folder), joined(drawn, 0)
    pieces = Pieces(place)
    pieces.close(table)
    session = Session([str(each) for each in pieces.paths], RUN, durations(table.schema))
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in table.columns)
    _, fields = session.bind(f"SELECT {quoted} FROM results")
    assert fields.by_column == {}


@examples
@given(drawn)
def test_client_joins_rows_and_outcomes(drawn: list[str]) -> None:
    part = io.BytesIO()
    items = pl.Series(ITEM, ["a", "b", "c"])
    frame_of(drawn).with_columns(
        items, pl.Series(INDEX, [0, 1, 2]), pl.Series("pipeline.task", [0, 0, 1])
    ).write_parquet(part)
    table = join([part.getvalue()], [], "item", derived=True)
    assert table.columns == [*table_names(frame_of(drawn).columns), *OUTCOME_TYPES]
