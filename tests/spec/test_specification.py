"""A batch's specification: every problem is named, in one error."""

from typing import Any

import pytest

from pipeline.errors import BadRequestError
from pipeline.settings.environment import read_settings
from pipeline.spec.batch_spec import BatchSpec, parse_spec

MINIMAL: dict[str, Any] = {"input": "data/rows.csv", "function": "model"}

BAD_FIELDS: tuple[tuple[str, Any], ...] = (
    ("rate", 0),
    ("rate", 10_001),
    ("rate", "fast"),
    ("tolerate", -1),
    ("tolerate", True),
    ("tolerate", 0.05),
    ("tolerate", "101%"),
    ("tolerate", "5 %"),
    ("tolerate", "some"),
    ("input", ""),
    ("input", "/rows.csv"),
    ("input", "data/../rows.csv"),
    ("input", "."),
    ("input", "rows\x00.csv"),
    ("input", "rows\n.csv"),
    ("input", "rows\x7f.csv"),
    ("input", "rows\x85.csv"),
    ("input", "rows\u2028.csv"),
    ("input", "rows\u2029.csv"),
    ("input", "ä" * 513),
    ("input", "\ud800"),
    ("input", None),
    ("input", "s3://"),
    ("input", "s3://bucket"),
    ("input", "s3://Bucket/key"),
    ("input", "s3:///key"),
    ("input", "s3://bucket//key"),
    ("input", "s3://bucket/a/../b"),
    ("columns", []),
    ("columns", 7),
    ("columns", ["a", "b", "a"]),
    ("columns", [f"c{number}" for number in range(1001)]),
    ("format", "xml"),
    ("format", "CSV"),
    ("format", ""),
    ("function", ""),
    ("function", "Model"),
    ("function", "model/path"),
    ("function", "../system"),
    ("function", "-model"),
    ("function", "model."),
    ("function", "model\n"),
    ("function", "m" * 129),
    ("column", ""),
    ("column", "c" * 1025),
    ("chunk", 0),
    ("chunk", True),
    ("chunk", -1),
    ("chunk", 1.5),
    ("chunk", "x"),
    ("chunk", "Auto"),
    ("chunk", 10_001),
    ("chunk", "9" * 5000),
    ("chunk_call", "sometimes"),
    ("direct", "sometimes"),
    ("headers", {"X-Mode": "batch"}),
    ("concurrency", 0),
    ("concurrency", 65),
    ("window", 0),
    ("window", 10_001),
    ("attempts", 0),
    ("attempts", 11),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", 3601),
    ("timeout", "nan"),
    ("deadline", 0),
    ("deadline", 30 * 86400 + 1),
    ("inline_limit", -1),
    ("inline_limit", 4 * 1024 * 1024 + 1),
    ("content_type", ""),
    ("content_type", " text/plain"),
    ("content_type", "text/plain\r\nX-Evil: 1"),
    ("content_type", "t" * 257),
    ("headers", "X-A: 1"),
    ("headers", {"": "1"}),
    ("headers", {"X A": "1"}),
    ("headers", {"X-A:": "1"}),
    ("headers", {"X-A\n": "1"}),
    ("headers", {"X-Ä": "1"}),
    ("headers", {"X-A": "1\n"}),
    ("headers", {"X-A": "1\r\nX-B: 2"}),
    ("headers", {"X-A": "\x00"}),
    ("headers", {"X-A": "ä"}),
    ("headers", {"X-A": "1", "x-a": "2"}),
    ("headers", {f"X-{number}": "" for number in range(65)}),
    ("headers", {"X-A": "a" * (16 * 1024 - 2)}),
    ("reduce", "Model"),
    ("reduce", "https://hooks.example.org/"),
    ("reduce", ["fold"]),
    ("notify", "Model"),
    ("notify", ""),
    ("notify", "a,,b"),
    ("notify", ["a", "a"]),
    ("notify", ["a", "https://h/x", "https://H:443/x"]),
    ("notify", [f"told-{number}" for number in range(9)]),
    ("notify", ["next", 7]),
    ("notify", {"next": "a"}),
    ("notify", ["ftp://hooks.example.org"]),
    ("notify", ["hooks.example.org/x"]),
    ("notify", ["https://hooks.example.org/#x"]),
    ("notify", ["https://user:secret@hooks.example.org/"]),
    ("sql", ""),
    ("sql", 1),
    ("sql", "x" * (16 * 1024 + 1)),
    ("dry_run", "perhaps"),
    ("outputs", ["xlsx"]),
    ("outputs", "csv;ndjson"),
    ("outputs", ["csv", "csv"]),
    ("outputs", "csv,"),
    ("outputs", None),
    ("outputs", {"csv": True}),
)

GOOD_FIELDS: tuple[tuple[str, Any], ...] = (
    ("rate", 0.5),
    ("rate", 10_000.0),
    ("tolerate", 0),
    ("tolerate", 1_000),
    ("tolerate", "0.5%"),
    ("tolerate", "100%"),
    ("input", "k"),
    ("input", "ä" * 512),
    ("function", "m"),
    ("function", "model.namespace"),
    ("function", "m" * 128),
    ("input", "s3://bucket/key"),
    ("input", "s3://bucket/data/"),
    ("input", "s3://bucket/"),
    ("input", "data/"),
    ("column", "c" * 1024),
    ("columns", ["a"]),
    ("columns", ["a,b", "c" * 1024]),
    ("columns", [f"c{number}" for number in range(1000)]),
    ("format", "csv"),
    ("format", "tsv"),
    ("format", "parquet"),
    ("format", "ndjson"),
    ("format", "json"),
    ("chunk", 1),
    ("chunk", 10_000),
    ("chunk", "auto"),
    ("chunk_call", True),
    ("direct", True),
    ("concurrency", 1),
    ("concurrency", 64),
    ("window", 1),
    ("window", 10_000),
    ("attempts", 1),
    ("attempts", 10),
    ("timeout", 0.001),
    ("timeout", 3600),
    ("deadline", 0.5),
    ("deadline", 30 * 86400),
    ("inline_limit", 0),
    ("inline_limit", 4 * 1024 * 1024),
    ("content_type", "image/png; q=1"),
    ("headers", {f"X-{number}": "" for number in range(64)}),
    ("headers", {"X-A": "a" * (16 * 1024 - 3)}),
    ("input", "a%2F..%0Ab c+d"),
    ("reduce", "fold.namespace"),
    ("notify", ("next", "https://hooks.example.org/a/b?c=d,e", "http://[::1]:8080/")),
    ("notify", tuple(f"told-{number}" for number in range(8))),
    ("sql", "SELECT label FROM results"),
    ("dry_run", True),
    ("outputs", ("csv",)),
    ("outputs", ("parquet", "csv", "ndjson")),
    ("outputs", ()),
    ("headers", {"X-A": "", "Authorization": "Bearer\tx", "x!#$%&'*+.^_`|~-9": "~"}),
)


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_a_bad_field_is_a_problem_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {name: value})
    assert caught.value.problems
    named = [problem.split(":")[0].removesuffix(".0").removesuffix(".1") for problem in caught.value.problems]
    assert named == [name] * len(caught.value.problems)


@pytest.mark.parametrize(("name", "value"), GOOD_FIELDS)
def test_a_good_field_is_taken_as_it_is(name: str, value: Any) -> None:
    assert getattr(parse_spec(MINIMAL | {name: value}), name) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DROP TABLE results", "sql: it is not one SELECT: expected for example SELECT label, count(*) AS n FROM"),
        ("SELECT * FROM read_csv('/etc/passwd')", "sql: read_csv('/etc/passwd') is not a table: there is only results"),
        ("SELECT 'ä" + "ä" * 9000 + "'", "sql: it has more than 16384 bytes"),
        ("SELECT " + "(" * 5000, "sql: it is nested too deep"),
    ],
    ids=["a statement", "a file", "too many bytes", "a bomb"],
)
def test_sql_is_read_where_it_is_submitted_and_not_each_time_it_is_used(text: str, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"sql": text}, read_settings({"s3_bucket": "rows"}))
    (problem,) = caught.value.problems
    assert problem.startswith(words)
    assert parse_spec(MINIMAL | {"sql": text}).sql == text


@pytest.mark.parametrize(("given", "place"), [(["a", ""], "columns.1"), ("a,", "columns.1"), ([7], "columns.0")])
def test_a_column_that_has_no_name_is_told_by_its_place(given: Any, place: str) -> None:
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
def test_fields_that_do_not_go_together(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | fields)
    assert [problem for problem in caught.value.problems if says not in problem] == []


def test_every_field_is_tried_with_good_and_bad_values_here() -> None:
    assert {name for name, _ in BAD_FIELDS} == {name for name, _ in GOOD_FIELDS} == set(BatchSpec.model_fields)


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "HOST", "Connection", "X-Call-Id", "Content-Type"]
)
def test_a_header_that_the_pipeline_sets_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"headers": {name: "1"}})
    assert caught.value.problems[0].startswith(f"headers: {name} is set by the pipeline")


def test_every_problem_is_named_in_one_error() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec({"function": "UP", "chunk": 0, "attempts": 99, "headers": {"A": 1}, "windows": 3, "colum": "x"})
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {"input", "function", "chunk", "attempts", "headers.A", "windows", "colum"}


def test_an_unknown_field_is_named_beside_the_fields_there_are() -> None:
    with pytest.raises(BadRequestError, match="its fields are: ") as caught:
        parse_spec(MINIMAL | {"windows": 3})
    assert caught.value.problems == ("windows: there is no such field",)
    assert str(caught.value).endswith(", ".join(BatchSpec.model_fields))
