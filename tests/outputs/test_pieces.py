"""Frames on disk: one piece at a time in memory, in a temporary folder that is always removed."""

import asyncio
import tempfile
import threading
from pathlib import Path

import polars as pl
import pytest

from pipeline.outputs.pieces import (
    GROUP_BYTES,
    GROUP_ROWS,
    MOST_GROUPS,
    Pieces,
    TableError,
    in_thread,
    temporary_folder,
)


@pytest.mark.parametrize(
    ("sizes", "least", "most"),
    [
        ([], GROUP_ROWS, GROUP_ROWS),
        ([(20_000, 1)] * 100, GROUP_ROWS, GROUP_ROWS),
        # A few large rows among many small ones change nothing.
        ([*[(20_000, 1)] * 100, (1, GROUP_BYTES // 4)], GROUP_ROWS, GROUP_ROWS),
        # 64 KiB a row.
        ([(250, 250 * 65_536)] * 1_000, 500, 1_024),
        # 4 MiB a row after so many small rows that smaller groups would be too many to number.
        ([*[(20_000, 1)] * 20, *[(4, 4 * 2**22)] * 100], 14, 28),
        ([(1, 16 * GROUP_BYTES)] * 3, 1, 1),
        # Parquet numbers no more groups.
        ([(2, 2 * GROUP_BYTES)] * (2 * MOST_GROUPS), 4, 8),
    ],
    ids=["nothing", "small", "a large one", "large", "large at the end", "huge", "too many groups"],
)
def test_row_group_has_as_many_rows_as_memory_allows(sizes: list[tuple[int, int]], least: int, most: int) -> None:
    assert least <= Pieces(Path(), sizes).group_rows() <= most


def test_pieces_keep_the_order_and_sink_to_the_same_file_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.outputs.pieces.PIECE_ROWS", 300)
    pieces = Pieces(tmp_path)
    for start in range(0, 1_000, 100):
        pieces.add(pl.DataFrame({"n": range(start, start + 100), "hidden": ["x"] * 100}))
    pieces.close(pl.DataFrame())
    assert [rows for rows, _ in pieces.sizes] == [300, 300, 300, 100]
    assert pieces.rows == 1_000
    written = []
    for number in range(3):
        path = tmp_path / f"all-{number}"
        pieces.sink(path, 1)
        written.append(path.read_bytes())
    assert written == [written[0]] * 3
    assert pl.read_parquet(tmp_path / "all-0").equals(pl.DataFrame({"n": range(1_000)}))


async def test_missing_temporary_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(TableError, match=r"cannot be made under /\S+/missing: No such file or directory"):
        async with temporary_folder():
            pass


def panics() -> None:
    pl.DataFrame({"x": [b"bytes"]}).to_struct().struct.json_encode()


def refuses() -> None:
    pl.read_parquet(b"no parquet")


@pytest.mark.parametrize("work", [panics, refuses])
async def test_panic_of_polars_is_an_error_and_not_the_end_of_the_process(work: object) -> None:
    with pytest.raises(TableError, match="the tables cannot be made under"):
        await in_thread(work)  # type: ignore[arg-type]


async def test_cancelled_work_leaves_no_folder_behind() -> None:
    begun, go_on = threading.Event(), threading.Event()
    made: list[Path] = []
    existed: list[bool] = []

    def write(folder: Path) -> None:
        begun.set()
        go_on.wait()
        existed.append(folder.exists())
        (folder / "late").write_text("late")

    async def work() -> None:
        async with temporary_folder() as folder:
            made.append(folder)
            await in_thread(write, folder)

    working = asyncio.create_task(work())
    await asyncio.to_thread(begun.wait)
    working.cancel()
    # Time enough for a thread that would remove the folder at once: threads of the pool begin in turn.
    for _ in range(5):
        await asyncio.to_thread(made.copy)
    assert not working.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert existed == [True]
    assert [folder.exists() for folder in made] == [False]
