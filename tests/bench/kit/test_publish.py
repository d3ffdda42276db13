"""The results of a bench are written so that they can be read again."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from bench.kit.errors import BenchError
from bench.kit.publish import median_table, publish, read_runs


@dataclass(frozen=True)
class Run:
    """One run."""

    case: str
    items: int
    seconds: float


RUNS = [Run("a", 1_000_000, 1.25), Run("a", 3, 4.0), Run("b", 3, 0.0)]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    publish(tmp_path / "new", "runs", rows=[asdict(run) for run in RUNS])

    assert read_runs(tmp_path / "new" / "runs.csv", Run) == RUNS
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["runs.csv"]


@pytest.mark.parametrize("content", ["case,items\na,2\n", "case,items,seconds\na,b,1\n"])
def test_other_rows_are_an_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(content)

    with pytest.raises(BenchError, match="holds no rows of this bench"):
        read_runs(path, Run)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        read_runs(tmp_path / "none.csv", Run)


def test_a_table_has_the_medians_of_each_case() -> None:
    lines = median_table([asdict(run) for run in RUNS], "case", {"items": ("items", ",.0f"), "s": ("seconds", ".1f")})

    assert lines[2:] == ["| a | 500,002 | 2.6 |", "| b | 3 | 0.0 |"]
