"""`pipeline results`: one row an item, in the format of the file's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline.cli.show import FIRST_ROWS
from pipeline.store.columns import OUTCOME_TYPES
from tests.rigs.client.batch_parts import ROWS, SUMMARY, files, parts, with_parts
from tests.rigs.client.contract import Answer, contract, progress
from tests.rigs.client.run_cli import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "frame.parquet": pl.read_parquet,
    "frame.csv": lambda path: pl.read_csv(path, infer_schema=False),
    "frame.NDJSON": pl.read_ndjson,
}


@pytest.mark.parametrize("name", sorted(READERS))
async def test_frame_is_written_to_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    async with contract() as server:
        with_parts(server)
        result = await run(server, "results", "b-1", "--to", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"Wrote {path}: 3 rows\n", "")
    frame = READERS[name](path)
    assert frame.columns == [*ROWS.columns, *OUTCOME_TYPES]
    # A line of JSON holds a result as it is, and not as text.
    results = ["one", "two", None] if name.endswith("NDJSON") else ['"one"', '"two"', None]
    assert frame.get_column("result").to_list() == results
    assert files(tmp_path) == [path]


@pytest.mark.parametrize("name", sorted(READERS))
async def test_output_of_the_batch_is_downloaded_unchanged(tmp_path: Path, name: str) -> None:
    path, output = tmp_path / name, f"results.{name.rpartition('.')[2].lower()}"
    async with contract() as server:
        links = [server.link(f"b-1/{other}", other.encode(), name=other) for other in ("report.json", output)]
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None, "outputs": links})
        result = await run(server, "results", "b-1", "--to", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"Wrote {path}\n", "")
    assert path.read_bytes() == output.encode()
    assert [one.query.get("parts") for one in server.seen] == [None, None]


async def test_nested_columns_are_json_in_a_csv(tmp_path: Path) -> None:
    rows = pl.DataFrame({"url": ["a"], "tags": [["x", "y"]]})
    async with contract() as server:
        with_parts(server, snapshot=[server.link("b/0.parquet", body) for body in parts(rows, "url")], segments=[])
        await run(server, "results", "b-1", "--to", str(tmp_path / "frame.csv"))
    assert (tmp_path / "frame.csv").read_text().splitlines()[1].startswith('a,"[""x"",""y""]",not run')


async def test_summary_is_written_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    async with contract() as server:
        with_parts(server)
        result = await run(server, "results", "b-1", "--to", str(path), "--json")
    assert json.loads(result.stdout) == {"batch_id": "b-1", "to": str(path), "rows": None}
    assert path.read_bytes() == SUMMARY


async def test_first_rows_are_printed_without_a_file() -> None:
    rows = pl.DataFrame({"url": [f"row-{number:02}" for number in range(FIRST_ROWS + 1)]})
    async with contract() as server:
        links = [server.link(f"b/{n}.parquet", body) for n, body in enumerate(parts(rows, "url", chunk=4))]
        with_parts(server, snapshot=links, segments=[])
        told = await run(server, "results", "b-1")
        document = json.loads((await run(server, "results", "b-1", "--json")).stdout)
    assert "row-09" in told.stdout
    assert "row-10" not in told.stdout
    assert told.stdout.endswith("The first 10 of 11 rows: --to FILE writes them all.\n")
    assert (document["rows"], len(document["first"])) == (11, FIRST_ROWS)
    assert document["first"][9]["url"] == "row-09"
    assert document["first"][9]["status"] == "not run"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("frame.xlsx", "has no known suffix: expected one of .parquet, .csv, .ndjson, .json"),
        ("frame", "has no known suffix"),
        ("missing/frame.csv", "cannot be written: there is no folder"),
    ],
)
async def test_unwritable_file_is_refused_before_any_request(tmp_path: Path, name: str, message: str) -> None:
    async with contract() as server:
        result = await run(server, "results", "b-1", "--to", str(tmp_path / name))
    assert result.exit_code == 2
    assert message in result.stderr
    assert server.seen == []


@pytest.mark.parametrize("name", ["frame.csv", "summary.json"])
async def test_file_that_becomes_unwritable_is_a_one_line_error(tmp_path: Path, name: str) -> None:
    """A folder has its name."""
    (tmp_path / name).mkdir()
    async with contract() as server:
        with_parts(server)
        result = await run(server, "results", "b-1", "--to", str(tmp_path / name))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert files(tmp_path) == [tmp_path / name]


@pytest.mark.parametrize("name", ["frame.csv", "summary.json"])
async def test_no_other_file_in_the_folder_changes(tmp_path: Path, name: str) -> None:
    """Files of other programs stay as they are, also behind a link."""
    theirs, link = tmp_path / "theirs", tmp_path / f".{name}.partial"
    theirs.write_text("theirs")
    link.symlink_to(theirs)
    async with contract() as server:
        with_parts(server)
        result = await run(server, "results", "b-1", "--to", str(tmp_path / name))
    assert result.exit_code == 0
    assert (theirs.read_text(), link.is_symlink()) == ("theirs", True)
    assert sorted(files(tmp_path)) == sorted([theirs, link, tmp_path / name])


async def test_batch_without_a_summary_is_an_error(tmp_path: Path) -> None:
    async with contract() as server:
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None})
        result = await run(server, "results", "b-1", "--to", str(tmp_path / "summary.json"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: batch b-1 has no summary: it was never opened\n"


async def test_running_batch_is_refused(tmp_path: Path) -> None:
    async with contract() as server:
        server.answer("outputs", Answer({"error": "batch 'b-1' has not ended: it is running"}, 409))
        result = await run(server, "results", "b-1", "--to", str(tmp_path / "frame.csv"))
    assert (result.exit_code, result.stderr) == (3, "error: refused (409): batch 'b-1' has not ended: it is running\n")


async def test_narrow_terminal_prints_one_field_a_line() -> None:
    rows = pl.DataFrame({"url": ["row-0", "row-1"]})
    async with contract() as server:
        with_parts(server, snapshot=[server.link("b/0.parquet", body) for body in parts(rows, "url")], segments=[])
        narrow = await run(server, "results", "b-1", COLUMNS="60")
        with_parts(
            server, snapshot=[server.link("b/1.parquet", body) for body in parts(rows.head(0), "url")], segments=[]
        )
        empty = await run(server, "results", "b-1", COLUMNS="60")
    assert [line.split() for line in narrow.stdout.splitlines()] == [
        ["url", "row-0"],
        ["status", "not", "run"],
        [],
        ["url", "row-1"],
        ["status", "not", "run"],
        [],
    ]
    assert "url" in empty.stdout


ANSWER = {"rows": 12, "columns": ["label", "n"], "first": [["espresso", 7], ["[bold]tripod", None]], "error": None}


async def test_answer_of_a_query_is_printed() -> None:
    async with contract() as server:
        server.answer("status", progress("done", 3, 0, sql=ANSWER))
        shown = await run(server, "results", "b-1", "--sql")
        document = await run(server, "results", "b-1", "--sql", "--json")
        status = await run(server, "status", "b-1")
    assert (shown.exit_code, shown.stderr) == (0, "")
    for text in ("label", "espresso", "7", "[bold]tripod", "The first 2 of 12 rows; all of them are in sql.csv."):
        assert text in shown.stdout
        assert text in status.stdout
    assert json.loads(document.stdout) == ANSWER


@pytest.mark.parametrize("name", ["answer.parquet", "answer.CSV", "answer.json"])
async def test_answer_of_a_query_is_downloaded_unchanged(tmp_path: Path, name: str) -> None:
    path, output = tmp_path / name, f"sql.{name.rpartition('.')[2].lower()}"
    async with contract() as server:
        links = [server.link(f"b-1/{other}", other.encode(), name=other) for other in ("results.csv", output)]
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None, "outputs": links})
        result = await run(server, "results", "b-1", "--sql", "--to", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"Wrote {path}\n", "")
    assert path.read_bytes() == output.encode()


@pytest.mark.parametrize("to", [[], ["--to", "answer.csv"]])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "error: batch b-1 has no SQL query, or has not ended\n"),
        (ANSWER | {"error": "it took more than 300 s"}, "was not answered: it took more than 300 s\n"),
    ],
)
async def test_failed_query_prints_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: list[str], answer: dict[str, object] | None, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with contract() as server:
        server.answer("status", progress("done", 3, 0, sql=answer))
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None, "outputs": []})
        result = await run(server, "results", "b-1", "--sql", *to)
        status = await run(server, "status", "b-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(words)
    assert files(tmp_path) == []
    assert (answer is None) != ("error: it took more than 300 s" in status.stdout)


async def test_query_has_no_ndjson(tmp_path: Path) -> None:
    async with contract() as server:
        result = await run(server, "results", "b-1", "--sql", "--to", str(tmp_path / "answer.ndjson"))
    assert result.exit_code == 2
    assert "expected one of .parquet, .csv, .json" in " ".join(result.stderr.split())
