"""Queries that are refused at once, and queries that would hang or kill their reader."""

import pytest

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sql.runner import Queries
from tests.rigs.fixtures.event_loop import LongestCallback
from tests.rigs.sql_tables import SCHEMA

# Seconds of the event loop's thread that its longest callback may take.
LONGEST = 0.05
HOSTILE = {
    "a file by a function": ("SELECT * FROM read_csv('/etc/passwd')", "read_csv\\(\\) is not allowed in FROM"),
    "a text by a function": ("SELECT * FROM read_text('/proc/self/environ')", "read_text\\(\\) is not allowed"),
    "names of files": ("SELECT * FROM glob('/etc/*')", "glob\\(\\) is not allowed"),
    "a query in a text": ("SELECT * FROM query('SELECT 1')", "query\\(\\) is not allowed"),
    "a file by its name": ("SELECT * FROM '/etc/passwd'", "there is no table '/etc/passwd'; there are: results"),
    "a file in quotes": ('SELECT * FROM "/etc/passwd"', "there is no table '/etc/passwd'"),
    "a file in a subquery": ("SELECT url FROM results WHERE url IN (SELECT * FROM read_parquet('x'))", "not allowed"),
    "a file in WITH": ("WITH t AS (SELECT * FROM read_json('x')) SELECT * FROM t", "is not allowed in FROM"),
    "a file in a join": ("SELECT * FROM results a JOIN read_csv('x') b ON a.url = b.url", "is not allowed in FROM"),
    "a file in a scalar": ("SELECT read_csv('/etc/passwd') FROM results", "read_csv"),
    "another schema": ("SELECT * FROM information_schema.tables", "there is no table 'information_schema.tables'"),
    "settings": ("SELECT * FROM duckdb_settings()", "is not allowed in FROM"),
    "one setting": ("SELECT current_setting('allowed_paths')", "differs from run to run"),
    "the environment": ("SELECT getenv('HOME')", "getenv"),
    "DROP": ("DROP TABLE results", "is not one SELECT"),
    "CREATE": ("CREATE TABLE x AS SELECT * FROM results", "is not one SELECT"),
    "DELETE": ("DELETE FROM results", "is not one SELECT"),
    "INSERT": ("INSERT INTO results SELECT * FROM results", "is not one SELECT"),
    "COPY": ("COPY results TO '/tmp/x'", "is not one SELECT"),
    "EXPORT": ("EXPORT DATABASE '/tmp/x'", "is not one SELECT"),
    "ATTACH": ("ATTACH '/tmp/x.db'", "is not one SELECT"),
    "INSTALL": ("INSTALL httpfs", "is not one SELECT"),
    "LOAD": ("LOAD httpfs", "is not one SELECT"),
    "PRAGMA": ("PRAGMA database_list", "is not one SELECT"),
    "SET": ("SET threads = 8", "is not one SELECT"),
    "EXPLAIN": ("EXPLAIN SELECT 1", "is not one SELECT"),
    "SHOW": ("SHOW TABLES", "is not one SELECT"),
    "DESCRIBE": ("DESCRIBE SELECT 1", "is not one SELECT"),
    "SUMMARIZE": ("SUMMARIZE results", "is not one SELECT"),
    "two statements": ("SELECT 1; SELECT 2", "is not one SELECT"),
    "a second statement": ("SELECT url FROM results; DROP TABLE results", "is not one SELECT"),
    "nothing": (" ", "is not one SELECT"),
    "a comment": ("-- SELECT 1", "is not one SELECT"),
    "a parameter": ("SELECT ? FROM results", "parameter"),
    "the time": ("SELECT now() FROM results", "now differs from run to run"),
    "the day": ("SELECT current_date FROM results", "current_date is a value of SQL"),
    "today": ("SELECT today() FROM results", "today differs from run to run"),
    "an age": ("SELECT age(DATE '2024-01-01') FROM results", "age differs from run to run"),
    "chance": ("SELECT random() FROM results", "random differs from run to run"),
    "ids by chance": ("SELECT uuid() FROM results", "uuid differs from run to run"),
    "a sample": ("SELECT * FROM results TABLESAMPLE (10)", "a sample differs from run to run"),
    "a slip": ("SELECT url FORM results", 'syntax error at or near "results"'),
    "a bracket too few": ("SELECT (1 FROM results", "syntax error"),
    "an aggregate in WHERE": ("SELECT url FROM results WHERE sum(n) > 1", "WHERE clause cannot contain aggregates"),
    "a column outside GROUP BY": ("SELECT url FROM results GROUP BY k", "must appear in the GROUP BY clause"),
    "a wrong type": ("SELECT upper(n) FROM results", "No function matches .*upper\\(BIGINT\\)"),
    "no function": ("SELECT nonsense(url) FROM results", "nonsense does not exist"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=list(HOSTILE))
async def test_query_is_refused(text: str, words: str, longest_callback: LongestCallback) -> None:
    with pytest.raises(BadRequestError, match=words):
        await Queries().check(text, SCHEMA)
    assert longest_callback.seconds < LONGEST, longest_callback


async def test_query_is_refused_without_its_columns() -> None:
    """The columns of a large input may be unknown at its submission."""
    await Queries().check("SELECT label FROM results", None)
    with pytest.raises(BadRequestError, match="is not one SELECT"):
        await Queries().check("DROP TABLE results", None)


ACCEPTED = [
    "SELECT upper(a), b * 2, NOT c, d FROM results WHERE a = 'x' AND e + 0.5 > 1 AND length(f) > 2",
    "SELECT year(day::DATE), date_trunc('month', day::TIMESTAMP) FROM results",
    "SELECT n FROM results TABLESAMPLE bernoulli(10%) REPEATABLE (7)",
    "SELECT count(*) FROM generate_series(1, 10)",
    "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t WHERE x < 10) SELECT sum(x) FROM t",
    "SELECT list_transform([1, 2], lambda x: x + 1), {'a': n}, [n] FROM results",
    "SELECT DISTINCT ON (k) k, url FROM results ORDER BY k, url",
    "SELECT url FROM results UNION BY NAME SELECT k FROM results",
    "SELECT current_date FROM (SELECT 1 AS current_date)",
]


@pytest.mark.parametrize("text", ACCEPTED)
async def test_query_is_accepted(text: str) -> None:
    await Queries().check(text, {**SCHEMA, "current_date": SCHEMA["url"]} if "current_date" in text else SCHEMA)


BOMBS = {
    "parentheses": "SELECT " + "(" * 8000 + "1" + ")" * 8000,
    "parentheses of 20 KiB": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "open parentheses": "(" * 16_000,
    "brackets": "SELECT n" + "[0]" * 4000 + " FROM results",
    "dots": "SELECT result" + ".x" * 6000 + " FROM results",
    "arrows": "SELECT result" + " -> 'a'" * 2000 + " FROM results",
    "sums": "SELECT " + "+".join("1" * 8188),
    "operators": "SELECT " + "||".join("x" * 5460) + " FROM results",
    "fields": "SELECT " + ", ".join(f"f{number}" for number in range(100)) + " FROM results",
    "joins": "SELECT 1 FROM " + ", ".join(f"results r{number}" for number in range(1000)),
    "texts folded at once": "SELECT strftime(DATE '2024-01-01', repeat('%Y', 100000000))",
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
}


@pytest.mark.attack
@pytest.mark.parametrize("text", BOMBS.values(), ids=list(BOMBS))
async def test_bomb_ends_with_an_answer_or_a_refusal(text: str, longest_callback: LongestCallback) -> None:
    try:
        await Queries().check(text, SCHEMA)
    except (BadRequestError, UnavailableError) as error:
        assert str(error).startswith("sql")  # noqa: PT017 - either end is fine
    assert longest_callback.seconds < LONGEST, longest_callback
