import csv
from dataclasses import replace
from pathlib import Path

import pytest
from multidict import CIMultiDict
from typer.testing import CliRunner

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.kit.publish import write_rows
from bench.speed.sizing import __main__ as sizing
from bench.speed.sizing.figures import FREE, GETS, KEYS, OPERATIONS, PUTS, Case, Row, memory, requests
from bench.speed.sizing.page import BEGIN, END, put_into, section
from bench.speed.sizing.proxy import operation
from bench.speed.sizing.rows import as_row, read_batches

NOTHING = dict.fromkeys(OPERATIONS, 0)
STORED = {"input": 1, "segments": 2, "refs": 0, "outputs": 4}
HELD = {**dict.fromkeys(KEYS, 100), "outcomes": 290_000, "inflight": 6_400}
ONE = Row(Case("size", 1_000, 10), 1.5, 700_000, 2_000, 101, 1_000, 0, 0, HELD, NOTHING, STORED)
SMALL = (
    Case("size", 500, 10),
    Case("size", 1_000, 10),
    Case("result", 40, 10, result_bytes=10_240),
    Case("attempts", 40, 1, attempts=1, fails="items", workers=8),
    Case("parallelism", 40, 1, window=4, model_ms=10),
)


def row(items: int, *, puts: int = 0, copies: int = 0, gets: int = 0, heads: int = 0, deletes: int = 0) -> Row:
    s3 = {"PutObject": puts, "CopyObject": copies, "GetObject": gets, "HeadObject": heads, "DeleteObject": deletes}
    return replace(ONE, case=replace(ONE.case, items=items), s3={**NOTHING, **s3})


@pytest.mark.parametrize(
    ("method", "path", "query", "copies", "name"),
    [
        ("PUT", "/bucket/key", "", False, "PutObject"),
        ("PUT", "/bucket/a/key", "", True, "CopyObject"),
        ("POST", "/bucket/key", "uploads", False, "CreateMultipartUpload"),
        ("PUT", "/bucket/key", "partNumber", False, "UploadPart"),
        ("PUT", "/bucket/key", "partNumber", True, "UploadPartCopy"),
        ("POST", "/bucket/key", "uploadId", False, "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key", "uploadId", False, "AbortMultipartUpload"),
        ("DELETE", "/bucket/key", "", False, "DeleteObject"),
        ("POST", "/bucket", "delete", False, "DeleteObjects"),
        ("GET", "/bucket/key", "", False, "GetObject"),
        ("HEAD", "/bucket/key", "", False, "HeadObject"),
        ("GET", "/bucket", "list-type", False, "ListObjects"),
        ("GET", "/bucket/", "list-type", False, "ListObjects"),
        ("GET", "/bucket", "uploads", False, "ListMultipartUploads"),
        ("PUT", "/bucket", "", False, "PUT"),
    ],
)
def test_a_request_is_counted_as_what_s3_calls_it(method: str, path: str, query: str, copies: bool, name: str) -> None:  # noqa: FBT001
    headers = CIMultiDict({"X-Amz-Copy-Source": "bucket/other"} if copies else {})
    assert operation(method, path, dict.fromkeys([query] if query else [], ""), headers) == name


def test_every_operation_has_one_price() -> None:
    assert sorted(OPERATIONS) == sorted([*PUTS, *GETS, *FREE])
    assert len(set(OPERATIONS)) == len(OPERATIONS)


def test_requests_are_priced_as_listed() -> None:
    batch = row(1_000, puts=1_000, copies=1_000, gets=500, heads=500, deletes=9_000)
    assert (batch.puts, batch.gets) == (2_000, 1_000)
    assert batch.dollars == pytest.approx(2 * 0.005 + 0.0004)


def test_a_million_items_cost_what_a_batch_costs_once_and_each_thousand() -> None:
    found = requests([row(10_000, puts=32, gets=21), row(1_000, puts=14, gets=12)])
    assert (found.puts_once, found.gets_once, found.puts, found.gets) == (12, 11, 2, 1)
    assert found.million_dollars == pytest.approx((2_012 * 0.005 + 1_011 * 0.0004) / 1000)


def test_the_memory_of_a_batch_is_found_in_what_was_measured() -> None:
    def measured(window: int, outcomes: int) -> Row:
        case = replace(ONE.case, window=window, items=100_000)
        inflight = 60 * window
        keys = {**HELD, "outcomes": outcomes, "inflight": inflight}
        return replace(ONE, case=case, keys=keys, redis_peak=100_000 + inflight + 2 * outcomes)

    rows = [measured(32, 300_000), measured(512, 300_000), measured(128, 8_000_000)]
    found = memory(rows)
    assert found.once == pytest.approx(100_000)
    assert found.task == 60
    assert found.outcome == pytest.approx(2)
    assert found.off < 1e-6
    assert memory([replace(rows[0], redis_peak=2 * rows[0].redis_peak), *rows[1:]]).off > 0.2


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [ONE, replace(row(10, puts=3), case=replace(ONE.case, fails="items"))]
    write_rows(tmp_path / "sizing.csv", [as_row(batch) for batch in rows])
    assert read_batches(tmp_path / "sizing.csv") == rows


def test_another_file_is_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("items,chunk\n1,2\n")
    with pytest.raises(BenchError, match="holds no rows of this bench"):
        read_batches(path)


def test_a_readme_keeps_what_is_around_its_tables() -> None:
    assert put_into(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(BenchError, match="has no lines"):
        put_into("before", "new")


def test_the_readme_says_what_was_measured() -> None:
    results = ROOT / "bench" / "results"
    part = section(read_batches(results / "sizing.csv"))
    page = (ROOT / "bench" / "README.md").read_text()
    assert part in page, "python -m bench.speed.sizing --rows --readme bench/README.md writes it"


def test_small_batches_leave_rows_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "CASES", SMALL)
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")

    result = CliRunner().invoke(sizing.app, ["--out", str(tmp_path), "--readme", str(readme)])

    assert result.exit_code == 0, result.output
    with (tmp_path / "sizing.csv").open(newline="") as file:
        assert csv.DictReader(file).fieldnames == list(as_row(ONE))
    rows = read_batches(tmp_path / "sizing.csv")
    assert tuple(each.case for each in rows) == SMALL
    for each in rows:
        check(each)
    assert all(each.redis_peak > each.keys["outcomes"] > 0 for each in rows[:2])
    assert rows[0].keys["inflight"] > 0
    assert all(each.keys["other"] == 0 for each in rows)
    apart, failing = rows[2], rows[3]
    assert apart.puts > rows[0].puts
    assert apart.stored["refs"] > 10_240
    assert failing.failed
    assert failing.calls == failing.case.items + 4 * failing.failed
    page = (tmp_path / "sizing.md").read_text()
    assert page.count("| parallelism | 40 | 1 | 4 |") == 1
    assert section(rows) in page
    assert section(rows) in readme.read_text()


def check(each: Row) -> None:
    """The figures of one batch are possible."""
    assert each.messages == -(-each.case.items // each.case.chunk) + 1, "a task each, and the reduce"
    assert each.redis_peak > 0
    assert 0 < each.redis_kept < 10_000
    assert each.s3["PutObject"] >= 5
    assert each.s3["GetObject"] >= 3
    assert each.stored["input"] > 0
    assert each.stored["segments"] + each.stored["refs"] > each.case.result_bytes * (each.case.items - each.failed)


def test_rows_that_are_not_there_are_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(sizing.app, ["--rows", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
