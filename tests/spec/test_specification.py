"""The specification of a batch: one error names every problem."""

from typing import Any

import pytest

from pipeline.errors import BadRequestError
from pipeline.spec.batch_spec import BatchSpec, parse_spec
from pipeline.units import KIB

MINIMAL: dict[str, Any] = {"input": "data/rows.csv", "function": "model"}


def test_sql_has_at_most_16_kib() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"sql": "SELECT '" + "x" * 16 * KIB + "'"})
    assert caught.value.problems == ("sql: String should have at most 16384 characters",)


@pytest.mark.parametrize(("given", "place"), [(["a", ""], "columns.1"), ("a,", "columns.1"), ([7], "columns.0")])
def test_column_without_a_name_is_reported_by_its_place(given: Any, place: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"columns": given})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [place]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"column": "a", "columns": ["b"]}, "column makes an item of one cell, columns of several: give one of the"),
        (
            {"input": "data/", "format": "csv"},
            "each object under a prefix is an item itself, so there can be no format",
        ),
        ({"input": "s3://b-b/", "format": "csv"}, "each object under a prefix is an item itself"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | fields)
    assert [problem for problem in caught.value.problems if says not in problem] == []


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "HOST", "Connection", "X-Call-Id", "Content-Type"]
)
def test_header_set_by_the_pipeline_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"headers": {name: "1"}})
    assert caught.value.problems[0].startswith(f"headers: {name} is set by the pipeline")


def test_every_problem_is_named_in_one_error() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec({"function": "UP", "chunk": 0, "attempts": 99, "headers": {"A": 1}, "windows": 3, "colum": "x"})
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {"input", "function", "chunk", "attempts", "headers.A", "windows", "colum"}


def test_unknown_field_is_named_beside_the_known_fields() -> None:
    with pytest.raises(BadRequestError, match="its fields are: ") as caught:
        parse_spec(MINIMAL | {"windows": 3})
    assert caught.value.problems == ("windows: there is no such field",)
    assert str(caught.value).endswith(", ".join(BatchSpec.model_fields))


@pytest.mark.parametrize(
    "fields", [{"quote": ","}, {"quote": ";"}, {"delimiter": "'", "quote": "'"}, {"escape": '"'}, {"escape": "|"}]
)
def test_delimiter_quote_and_escape_differ(fields: dict[str, str]) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec({"input": "a.csv", "function": "f", **fields})
    assert caught.value.problems == ("delimiter, quote and escape are three different characters",)
