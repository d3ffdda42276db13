"""Queries made to read other files, to differ from run to run, or to take all memory or time."""

import os
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sql.runner import RUN, Queries
from pipeline.sql.session import Session
from pipeline.sql.tree import BARE_VALUES, TABLE_FUNCTIONS, parse
from tests.rigs.fixtures.event_loop import LongestCallback
from tests.rigs.sql_processes import children
from tests.rigs.sql_tables import SCHEMA, result_of, table, write_pieces

SECRET = "the canary sings"
LONGEST = 0.05


def functions(condition: str) -> list[str]:
    """The names of DuckDB's functions under a condition."""
    text = f"SELECT DISTINCT function_name FROM duckdb_functions() GROUP BY function_name HAVING {condition} ORDER BY 1"
    return [name for (name,) in duckdb.execute(text).fetchall()]


def refusal(text: str) -> str:
    """The error of a query that is refused, '' for another."""
    try:
        parse(duckdb.default_connection(), text)
    except (BadRequestError, duckdb.ParserException) as error:
        return str(error)
    return ""


TABLE_TYPES = "bool_or(function_type IN ('table', 'table_macro'))"


def test_every_function_of_tables_is_refused_but_for_the_allowed() -> None:
    names = functions(TABLE_TYPES)
    assert {"read_csv", "read_text", "glob", "query", "duckdb_secrets", "pragma_version", *TABLE_FUNCTIONS} <= {*names}
    allowed = {name for name in names if "is not allowed in FROM" not in refusal(f"SELECT * FROM {name}('x')")}
    assert allowed == TABLE_FUNCTIONS


def test_every_pragma_is_refused() -> None:
    names = functions("bool_or(function_type = 'pragma')")
    assert names
    for name in names:
        assert refusal(f"PRAGMA {name}")
        assert refusal(f"CALL {name}()")


STATEMENTS = [
    *(
        "WITH t AS (COPY results TO '/tmp/x.csv') SELECT 1",
        "WITH t AS (DELETE FROM results RETURNING *) SELECT * FROM t",
    ),
    "WITH t AS (INSERT INTO results SELECT * FROM results RETURNING *) SELECT * FROM t",
    "WITH t AS (UPDATE results SET n = 1 RETURNING *) SELECT * FROM t",
    "MERGE INTO results USING results ON true WHEN MATCHED THEN DELETE",
    *(
        "COPY results FROM '/etc/passwd'",
        "COPY FROM DATABASE a TO b",
        "IMPORT DATABASE '/tmp'",
        "EXPORT DATABASE '/tmp'",
    ),
    *(
        "DETACH memory",
        "USE memory",
        "VACUUM",
        "CHECKPOINT",
        "ANALYZE",
        "BEGIN",
        "RESET threads",
        "EXPLAIN ANALYZE SELECT 1",
    ),
    *("PREPARE a AS SELECT 1", "EXECUTE a", "CREATE MACRO f() AS 1", "CREATE SECRET (TYPE s3)", "SET VARIABLE a = 1"),
    *(
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE results RENAME TO other",
        "FROM (SUMMARIZE results)",
        "FROM (SHOW TABLES)",
    ),
    *("PIVOT results ON status USING count(*)", "SELECT 1; PRAGMA version", "FORCE INSTALL httpfs FROM 'http://x'"),
]


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement_that_is_not_one_select_is_refused(text: str) -> None:
    assert "is not one SELECT" in refusal(text)


def test_every_function_that_differs_from_run_to_run_is_refused() -> None:
    unstable = functions("bool_or(stability = 'VOLATILE') OR bool_and(stability = 'CONSISTENT_WITHIN_QUERY')")
    assert {"now", "random", "uuid", "current_setting", "getvariable", "nextval", "today"} <= {*unstable}
    calls = [*unstable, "ago", "age", "pg_sleep", "pg_conf_load_time", "pg_postmaster_start_time", "pg_get_viewdef"]
    assert [name for name in calls if not refusal(f'SELECT "{name}"(1)')] == ["error"]
    for name in ("histogram", "json_group_object", "list_sum", "if", "split_part", "strftime", "regexp_split_to_table"):
        assert not refusal(f'SELECT "{name}"(1)')


def test_function_that_differs_for_some_types_only_depends_on_the_time_zone() -> None:
    """The time zone is UTC. A name that is new here needs a look: it may be one that differs, as `age` is."""
    some = functions("bool_or(stability = 'CONSISTENT') AND bool_or(stability = 'CONSISTENT_WITHIN_QUERY')")
    of_times = functions("bool_or(list_contains(parameter_types, 'TIMESTAMP WITH TIME ZONE'))")
    assert {*some} - {*of_times} == {"make_timestamptz", "range", "generate_series"} - {*of_times}


def test_every_name_that_is_a_value_of_sql_is_refused() -> None:
    names = {
        *functions("true"),
        *(word for (word,) in duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()),
    }
    names |= {name.removeprefix(prefix) for name in names for prefix in ("get_", "current_")}
    values = {name for name in names if name.isidentifier() and is_bare_value(name)}
    assert values == BARE_VALUES
    for name in BARE_VALUES:
        assert "is a value of SQL" in refusal(f"SELECT {name.upper()} FROM results")
        assert not refusal(f"SELECT results.{name}, result.{name} FROM results")


def is_bare_value(name: str) -> bool:
    """Whether DuckDB answers a bare name, without a table, that may also be a column."""
    try:
        ((text, kind),) = duckdb.execute(f"SELECT json_serialize_sql('SELECT {name}'), typeof({name})").fetchall()
    except duckdb.Error:
        return False
    return '"COLUMN_REF"' in text and bool(kind)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder of files of DuckDB's formats, old enough that reading them shows in their times."""
    folder = tmp_path / "canary"
    folder.mkdir()
    for name, text in {"a.csv": f"a\n{SECRET}\n", "a.json": f'{{"a": "{SECRET}"}}', "a.txt": SECRET}.items():
        (folder / name).write_text(text)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT '{SECRET}' AS a) TO '{folder}/a.parquet'")
        connection.execute(f"ATTACH '{folder}/a.db' AS a; CREATE TABLE a.t AS SELECT '{SECRET}' AS a; DETACH a")
    for path in folder.iterdir():
        os.utime(path, (1, 2))
    return folder


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The size of each file, and when it was read and written."""
    stats = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (stat.st_size, stat.st_atime_ns, stat.st_mtime_ns) for name, stat in stats.items()}


def test_duckdb_itself_reads_and_writes_no_other_file(canary: Path, tmp_path: Path) -> None:
    """Past the checks of the tree, each function of tables and each statement meets the settings of the session."""
    (piece,) = write_pieces(tmp_path, table(1, [None]))
    session, before = Session([str(piece)], RUN, {}, tmp_path / "sql.parquet"), state(canary)
    texts = [f"SELECT * FROM {name}('{path}')" for name in functions(TABLE_TYPES) for path in canary.iterdir()]
    texts += [f"SELECT * FROM '{path}'" for path in canary.iterdir()]
    texts += [f"COPY results TO '{canary}/x.{form}'" for form in ("csv", "json", "parquet")]
    texts += [
        f"{start} '{canary}/a.db'" for start in ("ATTACH", "EXPORT DATABASE", "IMPORT DATABASE", "LOAD", "INSTALL")
    ]
    texts += [
        f"SET temp_directory = '{canary}'",
        "SET enable_external_access = true",
        f"SET allowed_paths = ['{canary}']",
    ]
    for text in texts:
        try:
            answer = str(session.connection.execute(text).fetchall())
        except duckdb.Error as error:
            answer = str(error)
        assert SECRET not in answer, text
    assert state(canary) == before
    (canary / "a.txt").read_text()
    assert state(canary) != before


async def test_query_reads_and_leaves_no_file(
    canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_callback: LongestCallback
) -> None:
    scratch, folder, before = tmp_path / "scratch", tmp_path / "answer", state(canary)
    scratch.mkdir()
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    pieces = write_pieces(folder, table(10, [None] * 10))
    for text in (
        f"SELECT * FROM read_text('{canary}/a.txt')",
        f"SELECT * FROM '{canary}/a.csv'",
        f'WITH x AS (WITH "{canary}/a.csv" AS (SELECT 1) SELECT 1) SELECT * FROM x, "{canary}/a.csv"',
        f"WITH t AS (COPY results TO '{canary}/x.csv') SELECT 1",
    ):
        with pytest.raises(BadRequestError) as refused:
            await Queries().check(text, SCHEMA)
        answer = await Queries().run(text, pieces, folder)
        assert answer.error
        assert SECRET not in f"{refused.value}{answer}"
    with pytest.raises(UnavailableError):
        await Queries(check=replace(RUN, seconds=0.1)).check("SELECT 1", SCHEMA)
    assert state(canary) == before
    assert list(scratch.iterdir()) == []
    assert {path.name for path in folder.iterdir()} == {path.name for path in pieces}
    assert longest_callback.seconds < LONGEST, longest_callback


LIMITS = {
    "rows": ("SELECT * FROM generate_series(1, 1000000000000)", "more than 1000000 rows"),
    "a list": ("SELECT len(range(1000000000000)) FROM results", "Lists larger than"),
    "a list of its own": ("SELECT list_reduce(range(1000000000), lambda x, y: x + y)", "memory"),
    "a text": ("SELECT repeat('x', 1000000000000)", "maximum supported string size"),
    "a text of 4 GB": ("SELECT repeat(url, 100000000) FROM results", "memory"),
    "a padded number": ("SELECT printf('%2000000000d', 1)", "memory"),
    "many texts": (
        "SELECT list(a.url || b.url || c.url || d.url) FROM results a, results b, results c, results d",
        "memory",
    ),
    "windows": ("SELECT string_agg(a.url, '') OVER (ORDER BY a.url, b.url) FROM results a, results b", "memory"),
    "a sort": ("SELECT a.url FROM results a, results b, results c, results d ORDER BY b.url || a.url", "memory"),
    "a recursion of texts": (
        "WITH RECURSIVE t(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM t) SELECT 1 FROM t",
        "memory",
    ),
    "a recursion of rows": (
        "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x FROM t, results) SELECT count(*) FROM t",
        "memory",
    ),
    "a recursion": (
        "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t",
        "took more",
    ),
    "a cross join": ("SELECT count(*) FROM results a, results b, results c, results d, results e", "took more"),
    "a series": ("SELECT count(*) FROM generate_series(1, 1000000000000)", "took more"),
    "a distance": ("SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))", "took more"),
    "a repetition": (
        "SELECT regexp_matches(url, '((a{0,100}){0,100}){0,100}') FROM results",
        "invalid repetition size",
    ),
    "columns": ("SELECT " + ", ".join("*" * 4000) + " FROM results", "took more"),
}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_pieces(tmp_path_factory.mktemp("sql"), table(200, [result_of(row) for row in range(200)]))


@pytest.mark.parametrize(("text", "words"), LIMITS.values(), ids=list(LIMITS))
async def test_query_is_ended_by_its_limits(
    text: str, words: str, pieces: list[Path], tmp_path: Path, longest_callback: LongestCallback
) -> None:
    seconds = 1 if words == "took more" else 60
    answer = await Queries(run=replace(RUN, seconds=seconds)).run(text, pieces, tmp_path)
    assert words in (answer.error or "")
    assert children() == []
    assert longest_callback.seconds < LONGEST, longest_callback


async def test_regular_expression_takes_linear_time(pieces: list[Path], tmp_path: Path) -> None:
    text = "SELECT count(*) AS n FROM results a, results b WHERE regexp_matches(repeat('a', 10000), '(a|a?)*(a|aa)+$b')"
    assert (await Queries().run(text, pieces, tmp_path)).first == [[0]]


async def test_large_pivot_is_answered(pieces: list[Path], tmp_path: Path) -> None:
    values = ",".join(map(str, range(3000)))
    text = f"SELECT url FROM (PIVOT (SELECT url, n FROM results) ON n IN ({values}) USING sum(n)) ORDER BY url"
    assert (await Queries().run(text, pieces, tmp_path)).rows == 200


async def test_wide_table_is_checked_beside_the_event_loop(longest_callback: LongestCallback) -> None:
    schema = {f"column_{number}": SCHEMA["url"] for number in range(5000)} | SCHEMA
    await Queries().check("SELECT count(*) AS n, label FROM results GROUP BY label", schema)
    assert longest_callback.seconds < LONGEST, longest_callback
