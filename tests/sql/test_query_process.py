"""Queries run in a process of their own, which has limits, writes files, and ends with its parent."""

import asyncio
import csv
import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from msgspec.structs import replace

from pipeline.capacity import AT_ONCE
from pipeline.outputs.query import SHOWN_BYTES, status_of
from pipeline.sandbox.parent import environment
from pipeline.sql.child import CELL, MOST_ROWS, Answer
from pipeline.sql.runner import RUN, Queries
from pipeline.units import MIB
from tests.rigs.sql_processes import children
from tests.rigs.sql_tables import result_of, table, write_pieces
from tests.rigs.waiting import wait_until

LABELS = "SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC, label"
# A million million rows, too many to count in a second.
ENDLESS = "SELECT count(*) AS n FROM results a, results b, results c"


async def run(folder: Path, text: str, rows: int = 100, queries: Queries | None = None) -> Answer:
    pieces = write_pieces(folder, table(rows, [result_of(row) for row in range(rows)]))
    return await (queries or Queries()).run(text, pieces, folder)


async def test_answer_is_in_three_files_and_its_first_rows_are_returned(tmp_path: Path) -> None:
    answer = await run(tmp_path, LABELS)
    assert answer.error is None
    assert (answer.rows, answer.columns) == (5, ["label", "n"])
    rows = pl.read_parquet(tmp_path / "sql.parquet").rows()
    assert [tuple(row) for row in answer.first] == rows
    assert [list(row.values()) for row in json.loads((tmp_path / "sql.json").read_text())] == answer.first
    with (tmp_path / "sql.csv").open() as file:
        assert [(label or None, int(n)) for label, n in list(csv.reader(file))[1:]] == rows


async def test_empty_answer_has_its_columns(tmp_path: Path) -> None:
    answer = await run(tmp_path, "SELECT url, label FROM results WHERE n > 1000000")
    assert answer == Answer(0, ["url", "label"], [], None)
    assert json.loads((tmp_path / "sql.json").read_text()) == []
    assert (tmp_path / "sql.csv").read_text() == "url,label\n"


async def test_empty_table_can_be_queried(tmp_path: Path) -> None:
    answer = await run(tmp_path, "SELECT count(*) AS n, avg(score) AS s, max(label) AS l FROM results", rows=0)
    assert answer == Answer(1, ["n", "s", "l"], [[0, None, None]], None, ["score", "label"])


async def test_more_than_ten_rows_are_written_and_ten_returned(tmp_path: Path) -> None:
    answer = await run(tmp_path, "SELECT url FROM results", rows=25)
    assert (answer.rows, len(answer.first)) == (25, 10)
    assert len(json.loads((tmp_path / "sql.json").read_text())) == 25


async def query_one_row(folder: Path, values: dict[str, Any]) -> Answer:
    """Query all of one row with these values as columns of the input."""
    pl.DataFrame({name: [value] for name, value in values.items()}).write_parquet(folder / "piece.parquet")
    return await Queries().run("SELECT * FROM results", [folder / "piece.parquet"], folder)


async def test_every_type_is_written_in_its_common_form(tmp_path: Path) -> None:
    values = {
        "day": dt.date(2024, 2, 29),
        "time": dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001
        "while": dt.timedelta(hours=36),
        "nan": float("nan"),
        "inf": float("inf"),
        "large": 2**53 + 1,
        "yes": True,
        "bytes": b"\x00\xff",
        "list": [1, None],
        "struct": {"a": "x"},
        "none": None,
        "text": "<b>,\"'\n",
        "long": "é" * 300,
    }
    answer = await query_one_row(tmp_path, values)
    assert answer.error is None
    shown = dict(zip(answer.columns, answer.first[0], strict=True))
    assert shown | {"long": ""} == {
        "day": "2024-02-29",
        "time": "2024-02-29T01:02:03.000000",
        "while": "36:00:00",
        "nan": None,
        "inf": None,
        "large": "9007199254740993",
        "yes": True,
        "bytes": "AP8=",
        "list": "[1,null]",
        "struct": '{"a":"x"}',
        "none": None,
        "text": "<b>,\"'\n",
        "long": "",
    }
    assert len(shown["long"]) == CELL
    with (tmp_path / "sql.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["list"], row["struct"], row["bytes"]) == ("[1,null]", '{"a":"x"}', "AP8=")
    assert row["while"] == "36:00:00"
    (written,) = json.loads((tmp_path / "sql.json").read_text())
    assert (written["list"], written["struct"], written["large"]) == ([1, None], {"a": "x"}, 2**53 + 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT a.url FROM results a, results b, results c", f"more than {MOST_ROWS} rows"),
        ("SELECT lpad('x', 2000000000, 'y') AS x FROM results", "needs more than 400 MiB of memory"),
        ("SELECT a.url FROM results a, results b ORDER BY b.url, a.n * b.n", "needs more than 400 MiB of memory"),
        ("SELECT CAST(label AS BIGINT) FROM results", "Could not convert string 'espresso' to INT64"),
        ("SELECT score FROM results WHERE score = 'x'", "Could not convert string 'x' to DOUBLE"),
        ("SELECT count(*) FROM results a, results b, results c GROUP BY a.url || b.url || c.url", "400 MiB of memory"),
    ],
)
async def test_query_that_fails_returns_its_error(tmp_path: Path, text: str, words: str) -> None:
    """A bomb of 10,000 rows ends within its limits, while this process stays responsive."""
    answered = asyncio.create_task(run(tmp_path, text, rows=10_000))
    while not answered.done():
        await asyncio.wait_for(asyncio.sleep(0.01), 1)
    answer = await answered
    assert words in (answer.error or "")
    assert (answer.rows, answer.first) == (0, [])


async def test_slow_query_is_killed(tmp_path: Path) -> None:
    answer = await run(tmp_path, ENDLESS, rows=10_000, queries=Queries(run=replace(RUN, seconds=1)))
    assert answer.error == "it took more than 1 s"
    assert children() == []


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.glob("sql.*"))


@pytest.mark.parametrize("most", [1, 2])
async def test_answer_over_its_size_limit_is_an_error(tmp_path: Path, most: int) -> None:
    """One file may exceed the limit, or all files together."""
    queries = Queries(run=replace(RUN, file_bytes=most * MIB))
    answer = await run(tmp_path, "SELECT a.url, b.url AS other FROM results a, results b", 150, queries)
    assert answer == Answer(error=f"the answer has more than {most} MiB")
    assert 0 < largest(tmp_path) <= most * MIB


async def test_two_queries_run_at_once_and_the_others_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipeline.sql.runner")
    queries, most = Queries(run=replace(RUN, seconds=1)), 0
    tasks = [asyncio.create_task(run(tmp_path, ENDLESS, 10_000, queries)) for _ in range(3)]
    while not all(task.done() for task in tasks):
        most = max(most, len(children()))
        await asyncio.sleep(0.01)
    assert [(await task).error for task in tasks] == ["it took more than 1 s"] * 3
    assert most == AT_ONCE == 2
    assert caplog.messages == ["the query waits: 2 others run in this replica", "the query runs after its wait"]


def test_two_queries_and_the_replica_fit_its_memory() -> None:
    (limit,) = re.findall(r"memory: (\d)Gi", Path("stack.yml").read_text())
    assert AT_ONCE * RUN.memory + 200 * MIB <= int(limit) * 1024 * MIB


async def test_cancelled_query_is_killed(tmp_path: Path) -> None:
    task = asyncio.create_task(run(tmp_path, ENDLESS, rows=10_000))
    await wait_until(lambda: bool(children()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


ORPHAN = """
import asyncio, sys
from pathlib import Path
from tests.sql.test_query_process import ENDLESS, run
asyncio.run(run(Path(sys.argv[1]), ENDLESS, rows=10_000))
"""


async def test_query_ends_with_its_parent_process(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)])  # noqa: ASYNC220
    try:
        await wait_until(lambda: bool(children()))
        (child,) = children()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    await wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_query_process_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("s3_secret", "hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    assert "hidden" not in environment().values()
    assert environment()["PATH"] == os.environ["PATH"]


def test_query_result_in_the_status_is_bounded() -> None:
    wide = Answer(10, ["é" * 200] * 50, [["x" * 200] * 50] * 10)
    shown = status_of(wide)
    assert len(json.dumps(shown, ensure_ascii=False).encode()) <= SHOWN_BYTES
    assert shown["rows"] == 10
    assert shown["first"]
    huge = Answer(10, ["c"] * 50, [[{"number": 1}] * 2000] * 10)
    assert status_of(huge)["first"] == []
    small = Answer(1, ["a"], [["b"]])
    assert status_of(small) == {"rows": 1, "columns": ["a"], "first": [["b"]], "error": None}
