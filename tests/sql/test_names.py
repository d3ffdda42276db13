"""Names in a query: columns of the table, names of the query itself, or fields of the results."""

import pytest

from pipeline.errors import BadRequestError
from pipeline.sql.rewrite import check
from tests.rigs.sql_tables import SCHEMA

COLUMNS = list(SCHEMA)

FIELDS = {
    "SELECT label, url FROM results": [("label",)],
    "SELECT result.a.b FROM results": [("a", "b")],
    "SELECT results.result.a.b FROM results": [("a", "b")],
    "SELECT r.result.a FROM results AS r": [("a",)],
    "SELECT r.label FROM results AS r": [("label",)],
    "SELECT result.a[0].b[1] FROM results": [("a", 0, "b", 1)],
    "SELECT scores[0] FROM results": [("scores", 0)],
    "SELECT result.list[0].array[1].map.struct FROM results": [("list", 0, "array", 1, "map", "struct")],
    "SELECT date, text, rank, key, name, value FROM results": [
        *[("date",), ("text",), ("rank",), ("key",), ("name",), ("value",)]
    ],
    "SELECT result[0] FROM results": [(0,)],
    "SELECT result['a b'] FROM results": [("a b",)],
    'SELECT result."A b".c FROM results': [("A b", "c")],
    "SELECT result ->> '$.a[0].b' FROM results": [("a", 0, "b")],
    "SELECT result -> 'a' ->> 'b' FROM results": [("a", "b")],
    "SELECT (result -> 'a') -> 0 FROM results": [("a", 0)],
    "SELECT result ->> 'a.b' FROM results": [("a.b",)],
    "SELECT result ->> '$.\"a.b\".c' FROM results": [("a.b", "c")],
    "SELECT label ->> 'x' FROM results": [("label", "x")],
    "SELECT json_extract(result, '$.a.b') FROM results": [("a", "b")],
    "SELECT JSON_EXTRACT_PATH_TEXT(result, 'a', 'b') FROM results": [("a", "b")],
    "SELECT label FROM results WHERE label = 'a' GROUP BY label ORDER BY label": [("label",)],
    "SELECT count(*) AS n FROM results GROUP BY label ORDER BY n": [("label",)],
    "SELECT upper(label) AS label FROM results GROUP BY label": [("label",)],
    "SELECT avg(score) AS score FROM results HAVING avg(score) > 1 ORDER BY score": [("score",)],
    "SELECT label, count(*) AS c FROM results GROUP BY label HAVING c > 1": [("label",)],
    "SELECT rank() OVER (ORDER BY score) AS r FROM results QUALIFY r = 1": [("score",)],
    "SELECT score FROM results WHERE score > 1": [("score",)],
    "SELECT round(score) AS score FROM results WHERE score > 1": [("score",)],
    "SELECT result FROM results WHERE result LIKE 'x'": [],
    "SELECT * FROM results": [],
    "SELECT count(*) FROM results": [],
    "WITH t AS (SELECT label AS l FROM results) SELECT l FROM t": [("label",)],
    "SELECT s.l FROM (SELECT label AS l FROM results) AS s WHERE l = 'a'": [("label",)],
    "SELECT url FROM results a WHERE EXISTS (SELECT 1 FROM results b WHERE b.x = a.y)": [("x",), ("y",)],
    "SELECT a.label FROM results a JOIN results b ON a.label = b.label": [("label",)],
    "SELECT r.label, t.c FROM results r JOIN (SELECT count(*) AS c FROM results) t ON r.n = t.c": [("label",)],
    "SELECT label FROM results UNION SELECT other FROM results ORDER BY label": [("label",), ("other",)],
    "SELECT sum(n) OVER w FROM results WINDOW w AS (PARTITION BY label)": [("label",)],
}


@pytest.mark.parametrize(("text", "paths"), FIELDS.items(), ids=list(FIELDS))
def test_unknown_name_is_a_field(text: str, paths: list[tuple[str | int, ...]]) -> None:
    assert sorted(check(text, COLUMNS).paths.values(), key=str) == sorted(paths, key=str)


WRONG = {
    "SELECT url results": "there is no column url; it names no table: expected FROM results",
    "SELECT x FROM result": "there is no table 'result'; there are: results",
    "WITH t AS (SELECT 1 AS x) SELECT * FROM u": "there is no table 'u'; there are: results, t",
    "WITH results AS (SELECT 1 AS x) SELECT * FROM results": "WITH names 'results', which there is already",
    "SELECT URL FROM results": "no column 'URL', did you mean 'url'.*a field of the results is result.URL",
    "SELECT r.Status FROM results r": "did you mean 'status'",
    "SELECT count(*) AS Total FROM results ORDER BY total": "did you mean 'Total'",
    "SELECT t.label FROM results": "there is no table 't' here; there are: results; a field is result.t",
    "SELECT results.url FROM results r": "there is no table 'results' here; there are: r",
    "SELECT x.* FROM results": "there is no table 'x' here",
    "SELECT * ": "there is no table",
    "WITH t AS (SELECT label FROM results) SELECT score FROM t": "there is no column score; there are: label",
    "SELECT t.score FROM (SELECT label FROM results) t": "there is no t.score; t has: label",
    "SELECT t.label.x FROM (SELECT label FROM results) t": "only the column result holds JSON",
    "SELECT url ->> 'a' FROM results": "only the column result holds JSON",
    "SELECT label FROM results a JOIN results b ON a.url = b.url": "in several tables: write a.label",
    "SELECT url FROM results a JOIN results b ON a.url = b.url": "'url' is in several tables: write a.url",
    "SELECT * FROM results, results": "two tables are called 'results': give one another name",
    "SELECT * FROM results a JOIN results b USING (url)": "not supported with USING: name the columns",
    "SELECT * REPLACE (1 AS n) FROM results": "expected [*] or [*] EXCLUDE",
    "SELECT score AS s, s + 1 FROM results": "'s' is the name of what SELECT gives.*or write result.s for the field",
    "SELECT count(*) AS c FROM results WHERE c > 1": "'c' is the name of what SELECT gives",
    "SELECT url FROM results UNION SELECT k FROM results ORDER BY k": "ORDER BY here names one of: url",
    "SELECT result ->> url FROM results": "expected a path",
    "SELECT result ->> '$..a' FROM results": "more than keys and indices",
    "SELECT result ->> '$.a[*]' FROM results": "more than keys and indices",
    "SELECT result ->> '$.a[?(@.b)]' FROM results": "is not a path|more than keys",
    "SELECT result ->> '$.[' FROM results": "is not a path|more than keys",
    "SELECT result -> 1.5 FROM results": "expected a path",
    "SELECT json_extract(result) FROM results": "expected a path",
    "SELECT json_extract() FROM results": "expected a path",
    "SELECT abs(n)[0] FROM results": "expected a path",
    "SELECT result" + ".a" * 40 + " FROM results": "at most 32 steps",
    "SELECT " + ", ".join(f"f{place}" for place in range(101)) + " FROM results": "more than 100 fields",
}


@pytest.mark.parametrize(("text", "words"), WRONG.items(), ids=[text[:80] for text in WRONG])
def test_invalid_name_is_refused_with_the_valid_ones(text: str, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        check(text, COLUMNS)


NAMES = {
    "SELECT label, url FROM results": ["label", "url"],
    "SELECT result.a.b, result ->> '$.c[0]', scores[1] FROM results": ["b", "c", "scores"],
    "SELECT result.a.x, result.b.x FROM results": ["x", "result.b.x"],
    "SELECT count(*), avg(score), n + 1 FROM results": ["count(*)", "avg(score)", "n + 1"],
    "SELECT avg(score) AS mean FROM results": ["mean"],
    "SELECT r.* EXCLUDE (result) FROM results r": [name for name in COLUMNS if name != "result"],
    "SELECT * FROM results": COLUMNS,
}


@pytest.mark.parametrize(("text", "names"), NAMES.items(), ids=list(NAMES))
def test_output_columns_are_named_as_in_the_query(text: str, names: list[str]) -> None:
    assert check(text, COLUMNS).tree.named_selects == names


def test_input_column_does_not_collide_with_a_field() -> None:
    query = check("SELECT label FROM results", [*COLUMNS, "pipeline.field.0"])
    assert query.paths == {"pipeline.field.0_": ("label",)}


@pytest.mark.parametrize("name", ["*", "^u.*$"])
def test_column_that_is_a_pattern_to_polars_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="its name is a pattern to polars"):
        check("SELECT * FROM results", [*COLUMNS, name])


def test_polars_errors_show_the_names_of_fields() -> None:
    query = check("SELECT " + ", ".join(f"f_{letter}" for letter in "abcdefghijkl") + " FROM results", COLUMNS)
    assert query.spoken("no pipeline.field.1 and pipeline.field.11") == "no f_b and f_l"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT score + 1 FROM results", "number"),
        ("SELECT avg(score) FROM results", "number"),
        ("SELECT url FROM results WHERE score > 0.5", "number"),
        ("SELECT url FROM results WHERE score BETWEEN -1 AND 1", "number"),
        ("SELECT url FROM results WHERE (score) IN (1, 2)", "number"),
        ("SELECT url FROM results WHERE score", "truth"),
        ("SELECT url FROM results WHERE NOT score AND n > 1", "truth"),
        ("SELECT upper(score) FROM results", "text"),
        ("SELECT score FROM results WHERE score = 'a'", "text"),
        ("SELECT score FROM results ORDER BY score * 2", "number"),
    ],
)
def test_field_kind_is_inferred_from_its_use(text: str, kind: str) -> None:
    assert list(check(text, COLUMNS).kinds.values()) == [kind]
