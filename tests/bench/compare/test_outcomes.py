"""The words and numbers of batches that met a fault."""

import polars as pl
import pytest

from bench.compare.report import faults, outcomes
from bench.compare.run import words
from bench.compare.summary import Verdict

WHOLE = Verdict(3, 0, 0, 0, 0, 0)
SHORT = Verdict(2, 1, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("verdict", "problem", "line"),
    [
        (WHOLE, "", "every item once"),
        (SHORT, "", "1 lost, 1 twice in the summary, 1 counted twice"),
        (Verdict(3, 0, 0, 0, 2, 1), "", "2 failed, 1 with a wrong result"),
        (None, "", "hangs"),
        (None, "no", "gives up: no"),
    ],
)
def test_one_line_says_what_happened(verdict: Verdict | None, problem: str, line: str) -> None:
    assert words(verdict, problem) == line


def rows(*runs: tuple[str, int], fault: str = "worker killed") -> pl.DataFrame:
    known = {"way": "celery", "fault": fault, "done": "SIGKILL", "seconds": 4.25}
    return pl.DataFrame([{**known, "happened": text, "repeated_calls": repeated} for text, repeated in runs])


def test_runs_that_agree_are_one_and_those_that_differ_are_counted() -> None:
    same = faults(rows((words(WHOLE), 1), (words(WHOLE), 1)))
    other = faults(rows((words(WHOLE), 0), (words(WHOLE), 1), (words(SHORT), 1)))

    assert same.select("runs", "seconds", "repeated", "happened").rows() == [(2, "4", "1", "every item once")]
    assert other["repeated"].to_list() == ["0, 1, 1"]
    assert other["happened"].to_list() == [f"2 of 3 runs: every item once; 1 of 3 runs: {words(SHORT)}"]


def test_a_way_has_a_line_with_its_outcomes_by_kind_of_fault() -> None:
    runs = pl.concat([rows((words(WHOLE), 2)), rows((words(WHOLE), 0), fault="delivered twice")])

    text = " ".join(outcomes(faults(runs)).split())
    again = " ".join(outcomes(faults(pl.concat([runs, runs.with_columns(done=pl.lit("again"))]))).split())

    assert text == "- celery: worker killed: every item once, calls repeated: 2; delivered twice: every item once"
    assert "worker killed (SIGKILL): every item once, calls repeated: 2; delivered twice (SIGKILL)" in again
    assert "worker killed (again): every item once, calls repeated: 2; delivered twice (again)" in again
