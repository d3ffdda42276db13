"""The cutter, compared with a reference that goes row by row."""

from collections.abc import Sequence
from itertools import groupby

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.store.columns import INDEX, TASK
from pipeline.store.cut_tasks import Cutter, cell_sizes

Frames = list[list[str]]

items = st.one_of(st.text("aä", max_size=6), st.sampled_from(["", "x" * 30, "y" * 100]))
frames_of_items = st.lists(st.lists(items, max_size=25), max_size=8)


def reference(sizes: Sequence[int], chunk: int, task_bytes: int) -> list[int]:
    """A task starts at every block of `chunk` rows, and within a block whenever another `task_bytes` are full."""
    tasks, task, filled, full = [], -1, 0, 0
    for place, size in enumerate(sizes):
        if place % chunk == 0:
            task, filled, full = task + 1, 0, 0
        elif filled // task_bytes > full:
            task, full = task + 1, filled // task_bytes
        tasks.append(task)
        filled += size
    return tasks


def other(index: int) -> str:
    """The cell of the other column in this row."""
    return "o" * (index % 5)


def cut(cutter: Cutter, frames: Frames, *, alone: bool = False) -> list[pl.DataFrame]:
    """Cut rows of two columns; with `alone` the second column is empty."""
    parts, index = [], 0
    for rows in frames:
        indices = range(index, index + len(rows))
        frame = {"url": rows, "other": [None if alone else other(i) for i in indices], INDEX: indices}
        schema = {"url": pl.String, "other": pl.String, INDEX: pl.Int64}
        parts += cutter.feed(pl.DataFrame(frame, schema=schema))
        index += len(rows)
    return parts + cutter.rest()


@given(
    frames=frames_of_items, chunk=st.integers(1, 50), task_bytes=st.integers(1, 120), part_bytes=st.integers(1, 2000)
)
@example(frames=[["x" * 30], ["x" * 30]], chunk=2, task_bytes=30, part_bytes=1)
@example(frames=[["a"], [], ["b"]], chunk=2, task_bytes=100, part_bytes=100)
@settings(max_examples=150, deadline=None, database=None)
def test_any_frames_are_cut_like_the_reference(frames: Frames, chunk: int, task_bytes: int, part_bytes: int) -> None:
    rows = [row for frame in frames for row in frame]
    cutter = Cutter(chunk, task_bytes, part_bytes)
    parts = cut(cutter, frames)
    sizes_of_rows = [len(row.encode()) + len(other(index)) for index, row in enumerate(rows)]
    expected = reference(sizes_of_rows, chunk, task_bytes)
    assert [task for part in parts for task in part[TASK]] == expected
    assert [row for part in parts for row in part["url"]] == rows
    assert [cell for part in parts for cell in part["other"]] == [other(index) for index in range(len(rows))]
    assert [index for part in parts for index in part[INDEX]] == list(range(len(rows)))
    assert (cutter.tasks, cutter.items) == (len(set(expected)), len(rows))
    _check_tasks(expected, sizes_of_rows, chunk, task_bytes)
    _check_parts(parts, part_bytes)


def _check_tasks(tasks: list[int], sizes_of_rows: list[int], chunk: int, task_bytes: int) -> None:
    """Check the promises about tasks independently of the reference."""
    assert sorted(set(tasks)) == list(range(len(set(tasks))))
    for _, places in groupby(range(len(sizes_of_rows)), key=tasks.__getitem__):
        sizes = [sizes_of_rows[place] for place in places]
        assert len(sizes) <= chunk
        assert sum(sizes[:-1]) < task_bytes


def _check_parts(parts: list[pl.DataFrame], part_bytes: int) -> None:
    """Check that parts hold whole tasks, and are full by at most a row too much before their last task."""
    seen = [set(part[TASK]) for part in parts]
    assert all(seen)
    assert sum(map(len, seen)) == len(set().union(*seen))
    for part in parts:
        before_last = part.filter(pl.col(TASK) != part[TASK][-1])
        held = sum(int(before_last[name].str.len_bytes().sum()) for name in ("url", "other"))
        assert held - len(part["url"][0].encode()) - len(part["other"][0]) < part_bytes


@given(rows=st.lists(items, max_size=60), sizes=st.lists(st.integers(1, 20), min_size=1), chunk=st.integers(1, 50))
@settings(max_examples=100, deadline=None, database=None)
def test_size_of_frames_never_changes_the_tasks(rows: list[str], sizes: list[int], chunk: int) -> None:
    frames: Frames = []
    start = 0
    while start < len(rows):
        size = sizes[len(frames) % len(sizes)]
        frames.append(rows[start : start + size])
        start += size
    whole = cut(Cutter(chunk, 40, 10**9), [rows])
    pieces = cut(Cutter(chunk, 40, 10**9), frames)
    assert [list(part[TASK]) for part in pieces] == [list(part[TASK]) for part in whole]


CUT: dict[str, tuple[int, int, list[str], list[int]]] = {
    "chunks of two": (2, 100, ["a"] * 5, [0, 0, 1, 1, 2]),
    "a chunk of one is a task a row": (1, 100, ["a"] * 3, [0, 1, 2]),
    "bytes that are just full end a task": (9, 4, ["aa", "bb", "cc"], [0, 0, 1]),
    "bytes that are not quite full do not": (9, 5, ["aa", "bb", "cc"], [0, 0, 0]),
    "an item over the bytes is a task of its own": (9, 4, ["a" * 9, "b", "c"], [0, 1, 1]),
    "a task cut short is followed by the rest of its chunk": (
        3,
        4,
        ["aaaa", "b", "c", "d", "e", "f"],
        [0, 1, 1, 2, 2, 2],
    ),
    "bytes are of UTF-8": (9, 4, ["ä", "ä", "ä"], [0, 0, 1]),
    "empty items fill nothing": (9, 1, ["", "", "a", "", ""], [0, 0, 0, 1, 1]),
}


@pytest.mark.parametrize(("chunk", "task_bytes", "rows", "expected"), CUT.values(), ids=CUT)
def test_tasks_end_at_their_chunk_or_their_bytes(
    chunk: int, task_bytes: int, rows: list[str], expected: list[int]
) -> None:
    parts = cut(Cutter(chunk, task_bytes), [rows], alone=True)
    assert [list(part[TASK]) for part in parts] == [expected]
    assert reference([len(row.encode()) for row in rows], chunk, task_bytes) == expected


def test_no_rows_give_no_parts() -> None:
    cutter = Cutter(3)
    assert cut(cutter, []) == cut(cutter, [[], []]) == []
    assert (cutter.tasks, cutter.items) == (0, 0)


def test_full_part_is_returned_without_its_last_task() -> None:
    cutter = Cutter(2, part_bytes=10)
    schema = {"url": pl.String, INDEX: pl.Int64}
    full_parts = cutter.feed(pl.DataFrame({"url": ["a" * 20] * 3, INDEX: [0, 1, 2]}, schema=schema))
    assert [list(part[TASK]) for part in full_parts] == [[0, 0]]
    assert [list(part[TASK]) for part in cutter.rest()] == [[1]]


SIZES: dict[str, tuple[pl.Series, list[int]]] = {
    "text, by its bytes": (pl.Series(["ä", "", None]), [2, 0, 0]),
    "bytes": (pl.Series([b"abc", None]), [3, 0]),
    "numbers": (pl.Series([1, None]), [8, 8]),
    "lists": (pl.Series([["ab", "c"], [], None, ["def"]]), [11, 8, 8, 11]),
    "lists that begin with none": (pl.Series([None, [1, 2]], dtype=pl.List(pl.Int64)), [8, 24]),
    "lists of lists": (pl.Series([[[1], []], [[1, 2]]]), [32, 32]),
    "arrays": (pl.Series([["a", "bc"], None], dtype=pl.Array(pl.String, 2)), [11, 8]),
    "structs": (pl.Series([{"a": "xy", "b": 1}, {"a": "z", "b": 2}, None]), [18, 17, 16]),
    "no lists": (pl.Series([], dtype=pl.List(pl.String)), []),
}


@pytest.mark.parametrize(("column", "sizes"), SIZES.values(), ids=SIZES)
def test_cell_size_is_the_size_of_its_content(column: pl.Series, sizes: list[int]) -> None:
    assert cell_sizes(column).to_list() == sizes


def test_row_size_counts_every_column_but_the_index() -> None:
    rows = pl.DataFrame({"url": ["a"] * 4, "n": [1, 2, 3, 4], "l": [["x"], [], [], []], INDEX: range(4)})
    parts = Cutter(9, task_bytes=27)
    assert parts.feed(rows) == []
    (part,) = parts.rest()
    assert list(part[TASK]) == [0, 0, 1, 1]
