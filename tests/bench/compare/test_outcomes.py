"""What is said of batches that met a fault."""

import pytest

from bench.compare.outcomes import End, Outcome, by_fault, summarize, words
from bench.compare.report import markdown, outcome_row
from bench.compare.summary import Verdict
from tests.rigs.bench.machine import MACHINE

WHOLE = Verdict(3, 3, 0, 0, 0, 0, 0)
SHORT = Verdict(3, 2, 1, 1, 0, 0, 1)


def outcome(
    verdict: Verdict | None = WHOLE, end: End = "summary", called: str = "abc", run: int = 1, problem: str = ""
) -> Outcome:
    return Outcome("celery", "worker killed", "SIGKILL", run, 3, end, 4.25, tuple(called), verdict, problem)


@pytest.mark.parametrize(
    ("met", "line"),
    [
        (outcome(), "every item once"),
        (outcome(called="abcab"), "every item once, 2 calls repeated"),
        (outcome(SHORT, called="abca"), "1 lost, 1 twice in the summary, 1 counted twice, 1 calls repeated"),
        (outcome(Verdict(3, 3, 0, 0, 2, 1, 0)), "2 failed, 1 with a wrong result"),
        (outcome(None, "hang", "ab"), "hangs: no summary, and nothing has moved for 90 s; 2 of 3 items were called"),
        (outcome(None, "error", "a", problem="no"), "gives up: no; 1 of 3 items were called"),
    ],
)
def test_one_line_says_what_happened(met: Outcome, line: str) -> None:
    assert words(met) == line


def test_runs_that_differ_are_told_apart_and_those_that_agree_are_not() -> None:
    same = [outcome(run=1), outcome(called="abca", run=2)]
    other = [*same, outcome(SHORT, run=3)]

    assert summarize(same) == "every item once"
    assert (
        summarize(other) == "2 of 3 runs: every item once; 1 of 3 runs: 1 lost, 1 twice in the summary, 1 counted twice"
    )


def test_the_runs_of_a_fault_belong_together() -> None:
    runs = [outcome(run=1), outcome(run=2)]

    assert by_fault(runs) == [runs]


def test_the_page_has_a_line_a_fault_with_the_numbers_of_its_runs() -> None:
    page = markdown([outcome(), outcome(SHORT, called="abca", run=2)], MACHINE)

    line = page.splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["celery", "worker killed", "SIGKILL", "2"]
    assert cells[4:10] == ["4", "3, 2", "0, 1", "0, 1", "0, 1", "0, 1"]
    assert MACHINE["command"] in page


def test_there_is_a_row_a_run_and_no_number_where_there_was_no_summary() -> None:
    whole, hung = outcome_row(outcome()), outcome_row(outcome(None, "hang", "ab", run=2))

    assert list(whole) == list(hung)
    assert (whole["run"], whole["end"], whole["present"], whole["lost"]) == (1, "summary", 3, 0)
    assert (hung["run"], hung["end"], hung["present"], hung["called"]) == (2, "hang", None, 2)
