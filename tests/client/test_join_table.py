"""The frame of a batch, joined from its Parquet parts and its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pytest

from pipeline.client.join_table import join, overlay
from pipeline.store.columns import INDEX, ITEM, OUTCOME_TYPES, TASK
from pipeline.store.snapshot import _to_parquet
from tests.rigs.client.batch_parts import ROWS, outcome, parts, segment

if TYPE_CHECKING:
    from pipeline.answers.outcome import Outcome


def test_every_row_is_joined_once_in_order_with_all_columns() -> None:
    segments = [segment(outcome(2, '"three"'), outcome(0, '{"label": "one"}'))]
    frame = join(parts(ROWS, "url"), segments, "url")
    assert frame.columns == [*ROWS.columns, *OUTCOME_TYPES]
    assert frame.select(ROWS.columns).equals(ROWS)
    assert frame.get_column("status").to_list() == ["succeeded", "not run", "succeeded"]
    assert frame.get_column("result").to_list() == ['{"label": "one"}', None, '"three"']
    assert frame.row(1)[4:] == (None,) * 7
    assert frame.row(2, named=True) == {
        "id": "3",
        "url": "c",
        "note": "z",
        "status": "succeeded",
        "status_code": 200,
        "result": '"three"',
        "attempts": 1,
        "duration": 0.5,
        "call_id": "call-2",
        "result_ref": None,
        "encoding": None,
    }


def test_every_result_is_json() -> None:
    written = ["1", '"1"', "null", "[1, 2]", '"a \\"b\\""', "true"]
    rows = pl.DataFrame({"url": [str(number) for number in range(len(written))]})
    frame = join(parts(rows, "url"), [segment(*(outcome(at, text) for at, text in enumerate(written)))], "url")
    assert frame.get_column("result").to_list() == written


def test_referenced_and_binary_results_are_marked() -> None:
    segments = [segment(outcome(0, ref="b/refs/0.0.0.f"), outcome(1, '"AAE="', encoding="base64"))]
    frame = join(parts(ROWS, "url"), segments, "url")
    found = frame.select("result", "result_ref", "encoding").rows()[:2]
    assert found == [(None, "b/refs/0.0.0.f", None), ('"AAE="', None, "base64")]


@pytest.mark.parametrize(
    ("generations", "result"),
    [
        ([outcome(0, '"old"', failed=True), outcome(0, '"new"', failed=True)], '"new"'),
        ([outcome(0, '"old"', failed=True), outcome(0, '"new"')], '"new"'),
        ([outcome(0, '"old"'), outcome(0, '"new"', failed=True)], '"old"'),
        ([outcome(0, '"old"'), outcome(0, '"new"')], '"old"'),
        ([outcome(0, '"1"', failed=True), outcome(0, '"2"'), outcome(0, '"3"', failed=True)], '"2"'),
    ],
)
def test_later_segments_override_earlier_ones_except_successes(generations: list[Outcome], result: str) -> None:
    found = overlay([segment(each) for each in generations])
    assert found.get_column("result").to_list() == [result]


def test_later_outcomes_override_earlier_ones_within_a_segment() -> None:
    found = overlay([segment(outcome(0, '"1"', failed=True), outcome(0, '"2"', failed=True), outcome(1, '"3"'))])
    assert found.sort(INDEX).get_column("result").to_list() == ['"2"', '"3"']


def test_input_column_gives_way_to_an_outcome_column() -> None:
    rows = pl.DataFrame({"status": ["s"], "result": ["r"], "input.status": ["i"]})
    frame = join(parts(rows, "result"), [segment(outcome(0, '"x"'))], "result")
    assert frame.columns[:4] == ["input.input.status", "input.result", "input.status", "status"]
    assert frame.row(0)[:4] == ("s", "r", "i", "succeeded")


@pytest.mark.parametrize("name", ["*", "^.*$", "pipeline", ""])
def test_column_names_are_not_patterns(name: str) -> None:
    rows = pl.DataFrame({name: ["a"], "other": ["b"]})
    frame = join(parts(rows, "other"), [], "other")
    assert frame.columns[:2] == [name, "other"]
    assert frame.get_column(name).to_list() == ["a"]
    assert join(parts(rows, name), [], name).get_column(name).to_list() == ["a"]


def test_empty_input_is_an_empty_frame() -> None:
    frame = join([], [], "url")
    assert frame.columns == ["url", *OUTCOME_TYPES]
    assert frame.height == 0


def test_malformed_part_or_segment_is_an_error() -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        join([b"no parquet"], [], "url")
    with pytest.raises(msgspec.MsgspecError):
        join(parts(ROWS, "url"), [b"no json"], "url")


def test_items_made_of_columns_are_not_an_input_column() -> None:
    rows = pl.DataFrame({"n": [1, 2], ITEM: ["1", "2"], INDEX: [0, 1]}, schema_overrides={INDEX: pl.Int64})
    bodies = [_to_parquet(rows.with_columns(pl.lit(0, pl.Int64).alias(TASK)))]
    for column in ("n", "item"):
        frame = join(bodies, [], column, derived=True)
        assert frame.columns == ["n", *OUTCOME_TYPES]
        assert frame.get_column("n").to_list() == [1, 2]
