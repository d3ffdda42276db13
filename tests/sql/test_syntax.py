"""Syntax of queries: one SELECT of known parts, and nothing that hangs or kills its reader."""

import pytest

from pipeline.errors import BadRequestError
from pipeline.sql.rewrite import check
from tests.rigs.sql_tables import SCHEMA

COLUMNS = list(SCHEMA)

HOSTILE = {
    "a file by a function": ("SELECT * FROM read_csv('/etc/passwd')", "is not a table"),
    "a file by its name": ("SELECT * FROM '/etc/passwd'", "there is no table '/etc/passwd'; there are: results"),
    "a file in quotes": ('SELECT * FROM "/etc/passwd"', "there is no table '/etc/passwd'"),
    "a file in a subquery": (
        "SELECT url FROM results WHERE url IN (SELECT * FROM read_parquet('x'))",
        "is not a table",
    ),
    "a file in WITH": ("WITH t AS (SELECT * FROM read_json('x')) SELECT * FROM t", "is not a table"),
    "a file in a join": ("SELECT * FROM results a JOIN read_csv('x') b ON a.url = b.url", "is not a table"),
    "a file in a scalar": ("SELECT read_csv('/etc/passwd') FROM results", "there is no function 'read_csv'"),
    "a series as a table": ("SELECT * FROM generate_series(1, 1000000000)", "is not a table"),
    "a series as a value": ("SELECT unnest(range(1000000000))", "there is no function 'unnest'"),
    "a file behind an interval": (
        "SELECT k FROM results WHERE day + INTERVAL '1d'' > 1 UNION SELECT k FROM read_csv(''/etc/passwd'') -- 2d' > 1",
        "what follows INTERVAL is not understood",
    ),
    "a file behind a part of a time": (
        """SELECT EXTRACT("DAY FROM k) FROM READ_CSV('X') -- " FROM k) FROM results""",
        "expected a word as in EXTRACT",
    ),
    "an interval of a column": (
        "SELECT day + INTERVAL n day AS x FROM results",
        "expected for example INTERVAL '1 day'",
    ),
    "another schema": ("SELECT * FROM x.results", "is not a table"),
    "DROP": ("DROP TABLE results", "is not one SELECT"),
    "CREATE": ("CREATE TABLE x AS SELECT * FROM results", "is not one SELECT"),
    "TRUNCATE": ("TRUNCATE results", "is not one SELECT"),
    "DELETE": ("DELETE FROM results", "is not one SELECT"),
    "INSERT": ("INSERT INTO results SELECT * FROM results", "is not one SELECT"),
    "COPY": ("COPY results TO '/tmp/x'", "is not one SELECT"),
    "EXPLAIN": ("EXPLAIN SELECT 1", "is not one SELECT"),
    "SHOW": ("SHOW TABLES", "is not one SELECT"),
    "INTO": ("SELECT url INTO x FROM results", "INTO x is not supported"),
    "two statements": ("SELECT 1; SELECT 2", "is not one SELECT"),
    "a second statement": ("SELECT url FROM results; DROP TABLE results", "is not one SELECT"),
    "nothing": (" ", "is not one SELECT"),
    "a comment": ("-- SELECT 1", "is not one SELECT"),
    "no columns": ("SELECT", "expected columns or [*]"),
    "recursion": ("WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x FROM t) SELECT * FROM t", "RECURSIVE"),
    "a lock": ("SELECT url FROM results FOR UPDATE", "not supported"),
    "LATERAL": ("SELECT * FROM results, LATERAL (SELECT 1) x", "not supported"),
    "VALUES": ("SELECT * FROM (VALUES (1)) AS t", "not supported"),
    "PIVOT": ("SELECT * FROM results PIVOT (sum(n) FOR k IN ('a'))", "is not a table"),
    "a sample": ("SELECT * FROM results TABLESAMPLE (10)", "is not a table"),
    "a natural join": ("SELECT 1 FROM results a NATURAL JOIN results b", "expected JOIN ... ON"),
    "renamed columns": ("SELECT a FROM results AS r(a)", "name columns with AS"),
    "sets by name": ("SELECT url FROM results UNION BY NAME SELECT k FROM results", "expected UNION"),
    "DISTINCT ON": ("SELECT DISTINCT ON (k) k FROM results", "expected QUALIFY"),
    "a query as a limit": ("SELECT url FROM results LIMIT (SELECT 1)", "expected a number"),
    "a fraction as a limit": ("SELECT url FROM results LIMIT 1.5", "expected a number"),
    "a parameter": ("SELECT ? FROM results", "not supported"),
    "a variable": ("SELECT @x FROM results", "not supported"),
    "a struct": ("SELECT {'a': 1} FROM results", "not supported"),
    "an array": ("SELECT [1] FROM results", "not supported"),
    "a cast to what is none": ("SELECT CAST(n AS JSONB) FROM results", "there is no type"),
    "the time of the day": ("SELECT now() FROM results", "there is no function 'now'; there are: abs"),
    "the day": ("SELECT current_date FROM results", "not supported"),
    "chance": ("SELECT random() FROM results", "there is no function 'random'"),
    "an end that is missing": ("SELECT url FROM results WHERE k = 'a", "does not end"),
    "a comment without an end": ("SELECT url /* FROM results", "does not end|cannot be read"),
    "a condition that is missing": (
        "SELECT url FROM results WHERE",
        "cannot be read: something is missing near 'WHERE'",
    ),
    "backticks": ("SELECT `url` FROM results", "a name is quoted as \"name\", and a text as 'text'"),
    "a slip": ("SELECT url FORM results", "cannot be read: .*line 1, column"),
    "a bracket too few": ("SELECT (1 FROM results", "cannot be read: .*line 1, column"),
    "an aggregate in WHERE": (
        "SELECT url FROM results WHERE sum(n) > 1",
        r"sum\(n\) cannot stand in WHERE: expected HAVING",
    ),
    "an aggregate in GROUP BY": ("SELECT count(*) FROM results GROUP BY max(n)", "cannot stand in GROUP BY"),
    "an aggregate in ON": ("SELECT 1 FROM results a JOIN results b ON max(a.n) = b.n", "cannot stand in ON"),
    "an aggregate in ORDER BY": ("SELECT url FROM results ORDER BY sum(n)", "cannot stand in ORDER BY without"),
    "a window in WHERE": ("SELECT url FROM results WHERE rank() OVER (ORDER BY n) = 1", "WHERE: expected QUALIFY"),
    "a window in an aggregate": ("SELECT max(rank() OVER (ORDER BY n)) FROM results", "expected a subquery"),
    "round within round": ("SELECT round(round(n)) FROM results", "round within round"),
    "digits that are counted": ("SELECT round(n, n) FROM results", "number of digits"),
    "a start before the text": ("SELECT substr(url, -2) FROM results", "expected a start from 1 on"),
    "another start before it": ("SELECT substring(url FROM -2) FROM results", "expected a start from 1 on"),
    "three arguments": ("SELECT log(1, 2, 3) FROM results", "expected 2 arguments"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=list(HOSTILE))
def test_anything_but_a_plain_query_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        check(text, COLUMNS)


BOMBS = {
    "parentheses": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "open parentheses": "(" * 16_000,
    "brackets": "SELECT n" + "[0]" * 4000 + " FROM results",
    "dots": "SELECT result" + ".x" * 6000 + " FROM results",
    "arrows": "SELECT result" + " -> 'a'" * 2000 + " FROM results",
    "sums": "SELECT " + "+".join("1" * 6000),
    "conditions": "SELECT url FROM results WHERE " + " AND ".join(["n=1"] * 1500),
    "negations": "SELECT " + "NOT " * 3000 + "TRUE",
    "signs": "SELECT " + "- " * 6000 + "1",
    "cases": "SELECT " + "CASE WHEN TRUE THEN " * 600 + "1" + " END" * 600,
    "calls": "SELECT " + "abs(" * 2000 + "1" + ")" * 2000,
    "what may be a type": "SELECT " + "DATE(" * 23 + "1" + ")" * 23,
    "what may be a type of many": "SELECT " + "STRUCT(" * 23 + "1" + ")" * 23,
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 500 + "results" + ")" * 500,
    "unions": "SELECT 1 " + "UNION SELECT 1 " * 1000,
    "casts": "SELECT 1" + "::int" * 3000,
    "stars": "SELECT " + ",".join("*" * 8000) + " FROM results",
    "a long text": "SELECT '" + "x" * 20_000 + "'",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=list(BOMBS))
def test_bomb_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"^sql"):
        check(text, COLUMNS)


def test_nesting_and_length_up_to_the_limits_are_accepted() -> None:
    check("SELECT " + "(" * 20 + "1" + ")" * 20 + " FROM results", COLUMNS)
    check("SELECT url FROM results WHERE " + " AND ".join(["n = 1"] * 150), COLUMNS)
    check("SELECT " + ", ".join(["(((n)))"] * 1800) + " FROM results", COLUMNS)
    check("SELECT " + ", ".join(["round(sum(abs(CAST(n AS DOUBLE))), 2)"] * 390) + " FROM results", COLUMNS)
    check("SELECT " + ", ".join(f"n + {place} AS c{place}" for place in range(500)) + " FROM results", COLUMNS)


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("SELECT n FROM results ORDER BY n", 'ORDER BY "n" NULLS LAST'),
        ("SELECT n FROM results ORDER BY n DESC", 'ORDER BY "n" DESC NULLS LAST'),
        ("SELECT n FROM results ORDER BY n NULLS FIRST", 'ORDER BY "n" NULLS FIRST'),
        ("SELECT rank() OVER (ORDER BY n DESC) FROM results", 'OVER (ORDER BY "n" DESC NULLS LAST)'),
        ("SELECT n * 100.0 AS x FROM results", '"n" * 100.0e0'),
        ("SELECT n * .5 AS x FROM results", '"n" * 0.5e0'),
        ("SELECT n FROM results WHERE (n > 1) IS TRUE", 'coalesce(("n" > 1), FALSE)'),
        ("SELECT n FROM results WHERE (n > 1) IS NOT FALSE", 'NOT coalesce(NOT (("n" > 1)), FALSE)'),
        ("SELECT log(n) AS x FROM results", 'log10("n")'),
        ("SELECT log(2, n) AS x FROM results", '(ln("n") / ln(2))'),
        ("SELECT pow(n, 2) AS x FROM results", 'pow(("n") * 1e0, 2)'),
        ("SELECT n // 2 AS x FROM results", 'DIV("n", 2)'),
        ("SELECT trim(LEADING 'x' FROM url) AS x FROM results", "TRIM(LEADING 'x' FROM \"url\")"),
        ("SELECT position('a' IN url) AS x FROM results", "STRPOS(\"url\", 'a')"),
        ("SELECT DATE '2024-01-01' + INTERVAL '1 day' AS x FROM results", "INTERVAL '1 DAY'"),
        ("SELECT round(n, 2) AS x FROM results", 'floor(abs("n") * 1e2 + 5e-1) / 1e2'),
        ("SELECT round(n * 1.0) AS x FROM results", 'abs("n" * 1.0e0) * 1e0'),
        ("SELECT n /* ; DROP TABLE x */ FROM results -- so", 'SELECT "n" AS "n" FROM "results"'),
        ("SELECT 'it''s \"so\"' AS x FROM results", "'it''s \"so\"'"),
        ('SELECT n AS "a""b" FROM results', '"n" AS "a""b"'),
    ],
)
def test_query_is_rewritten_for_polars(text: str, rewritten: str) -> None:
    assert rewritten in check(text, COLUMNS).text
