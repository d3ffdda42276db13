"""The fields of results that a query reads: where they are, and the types of their columns."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import BadRequestError
from tests.rigs.sql_tables import SCHEMA, ask, fields_of, table

COLUMNS = list(SCHEMA)
LARGE = 18446744073709551615

TYPES = {
    "text": (('{"a": "x"}', '{"a": ""}'), "VARCHAR", ["x", ""]),
    "whole numbers": (('{"a": 9}', '{"a": -100}'), "BIGINT", [9, -100]),
    "a number": (('{"a": 1}', '{"a": 2.5}'), "DOUBLE", [1.0, 2.5]),
    "a large fraction": (('{"a": 1e300}', "{}"), "DOUBLE", [1e300, None]),
    "beyond 64 bits": ((f'{{"a": {LARGE}}}', '{"a": 1}'), "DOUBLE", [float(LARGE), 1.0]),
    "truth": (('{"a": true}', '{"a": false}'), "BOOLEAN", [True, False]),
    "truth and numbers": (('{"a": true}', '{"a": 1}'), "VARCHAR", ["true", "1"]),
    "text and numbers": (('{"a": "x"}', '{"a": 1}'), "VARCHAR", ["x", "1"]),
    "parts": (('{"a": [1, {"b": null}]}', '{"a": {}}'), "JSON", ['[1,{"b":null}]', "{}"]),
    "parts and text": (('{"a": [1]}', '{"a": "x"}'), "VARCHAR", ["[1]", "x"]),
    "nulls": (('{"a": null}', "{}"), '"NULL"', [None, None]),
    "no objects": (("7", None), '"NULL"', [None, None]),
}


@pytest.mark.parametrize(("results", "kind", "values"), TYPES.values(), ids=list(TYPES))
@pytest.mark.parametrize("name", ["a", "result.a"])
def test_field_has_the_type_of_its_values(
    results: tuple[str | None, ...], kind: str, values: list[object], name: str, tmp_path: Path
) -> None:
    answer, rows = ask(tmp_path, f"SELECT typeof({name}) AS kind, {name} AS a FROM results", table(2, results))
    assert rows["kind"].to_list() == [kind] * 2
    assert rows["a"].to_list() == values
    assert answer.missing == (["a"] if kind == '"NULL"' else [])


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    scores = [f'{{"score": {score}, "label": "x"}}' for score in (9, 10, 100)]
    text = "SELECT max(result.score), max(score), avg(score), min(result.label) FROM results"
    assert ask(tmp_path, text, table(3, scores))[1].rows() == [(100, 100, pytest.approx(119 / 3), "x")]


READ = {
    "SELECT label, url FROM results": ['$."label"'],
    "SELECT result.a.b FROM results": ['$."a"."b"'],
    "SELECT results.result.a.b FROM results": ['$."a"."b"'],
    "SELECT r.result.a FROM results AS r": ['$."a"'],
    "SELECT r.label FROM results AS r": ['$."label"'],
    "SELECT result.a[0].b[1] FROM results": ['$."a"[0]."b"[1]'],
    "SELECT result[0] FROM results": ["$[0]"],
    "SELECT result['a b'] FROM results": ['$."a b"'],
    'SELECT result."A b".c FROM results': ['$."A b"."c"'],
    "SELECT result ->> '$.a[0].b' FROM results": [],
    "SELECT label FROM results WHERE label = 'a' GROUP BY label ORDER BY label": ['$."label"'],
    "SELECT count(*) AS n FROM results GROUP BY label ORDER BY n": ['$."label"'],
    "SELECT upper(label) AS label FROM results GROUP BY label": ['$."label"'],
    "SELECT rank() OVER (ORDER BY score) AS r FROM results QUALIFY r = 1": ['$."score"'],
    "SELECT * FROM results": [],
    "WITH t AS (SELECT label AS l FROM results) SELECT l FROM t": ['$."label"'],
    "WITH t AS (SELECT label FROM results) SELECT label FROM t": ['$."label"'],
    "SELECT url FROM results a WHERE EXISTS (SELECT 1 FROM results b WHERE b.x = a.y)": ['$."x"', '$."y"'],
    "SELECT a.label FROM results a JOIN results b ON a.label = b.label": ['$."label"'],
    "SELECT label FROM results UNION SELECT other FROM results ORDER BY label": ['$."label"', '$."other"'],
    "SELECT list_transform([1], lambda x: x + 1)": [],
    "SELECT count(*) FROM results a JOIN results b USING (label)": ['$."label"'],
    "SELECT count(*) FROM results GROUP BY ALL HAVING max(score) > 1 ORDER BY min(rank)": ['$."rank"', '$."score"'],
    "PIVOT results ON status IN ('failed') USING sum(score) GROUP BY label": ['$."label"', '$."score"'],
    "UNPIVOT results ON score, rank INTO NAME a VALUE b": ['$."rank"', '$."score"'],
    "SELECT result.user, results.user FROM results": ['$."user"', '$."user"'],
    "SELECT LABEL FROM results": ['$."LABEL"'],
    "SELECT URL FROM results": [],
}


@pytest.mark.parametrize(("text", "paths"), READ.items(), ids=list(READ))
def test_name_that_is_no_column_is_a_field(text: str, paths: list[str], tmp_path: Path) -> None:
    assert sorted(fields_of(tmp_path, text, COLUMNS)) == sorted(paths)


COLUMNS_OF_ANSWERS = {
    "SELECT label, url FROM results": ["label", "url"],
    "SELECT result.a.b, scores FROM results": ["b", "scores"],
    "SELECT *, label FROM results": [*COLUMNS, "label"],
    "SELECT r.* EXCLUDE (result), result.label FROM results r": [*(c for c in COLUMNS if c != "result"), "label"],
    "SELECT t.* FROM (SELECT label FROM results) t, results r": ["label"],
    "FROM results WHERE label = 'x'": COLUMNS,
}


@pytest.mark.parametrize(("text", "names"), COLUMNS_OF_ANSWERS.items(), ids=list(COLUMNS_OF_ANSWERS))
def test_star_has_no_fields(text: str, names: list[str], tmp_path: Path) -> None:
    assert ask(tmp_path, text, table(2, ['{"label": "x"}', None]))[0].columns == names


def test_field_whose_column_would_have_a_taken_name(tmp_path: Path) -> None:
    frame = table(1, ['{"label": "field"}']).rename({"k": "result.label"})
    text = 'SELECT result.label AS a, "result.label" AS b FROM results'
    assert ask(tmp_path, text, frame)[1].rows() == [("field", "a")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT " + ", ".join(f"f{place}" for place in range(101)) + " FROM results", "more than 100 fields"),
        ("SELECT result" + ".a" * 40 + " FROM results", "at most 32 steps"),
        ("SELECT result['a\"b'] FROM results", "without quotes"),
        ("SELECT label FROM results a NATURAL JOIN results b", "NATURAL joins are not supported with fields"),
        ("SELECT t.score FROM (SELECT label FROM results) t", 'does not have a column named "score"'),
        ("SELECT label FROM results a JOIN results b ON a.url = b.url", "Ambiguous reference"),
        ("SELECT x.label FROM results", 'Referenced table "x" not found'),
    ],
)
def test_fields_that_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=words):
        ask(tmp_path, text, table(1, [None]))


@pytest.mark.parametrize("bomb", ['{"a":' * 100_000, "[" * 1_000_000, '{"a":' * 900 + "1" + "}" * 900])
def test_result_of_any_depth_harms_no_query(bomb: str, tmp_path: Path) -> None:
    if bomb.endswith("}"):
        assert ask(tmp_path, "SELECT a FROM results", table(2, [bomb, '{"a": "x"}']))[1]["a"][1] == "x"
    else:
        with pytest.raises(BadRequestError, match="Malformed JSON"):
            ask(tmp_path, "SELECT a FROM results", table(2, [bomb, '{"a": "x"}']))


def test_columns_that_differ_in_case_only_are_all_there(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], "A": [2], "result": [None]}, schema_overrides={"result": pl.String()})
    assert ask(tmp_path, "SELECT * FROM results", frame)[1].rows() == [(1, 2, None)]
