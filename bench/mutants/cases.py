"""Who judges a change, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.mutants.modules import MODEL, own_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.mutants.mutant import Mutant
    from bench.mutants.touched import Touched

# Seconds of tests a change, as they took with nothing changed.
BUDGET = 40.0


@dataclass(frozen=True)
class Session:
    """Tests that run in one process, in this order; the seconds that they took with nothing changed."""

    tests: tuple[str, ...]
    seconds: float
    slowest: float


@dataclass(frozen=True)
class Case:
    """A change and its judges; `reaching` counts those that were left out too."""

    mutant: Mutant
    sessions: tuple[Session, ...]
    reaching: int
    control: bool = False

    @property
    def tests(self) -> int:
        """How many judge."""
        return sum(len(session.tests) for session in self.sessions)


@dataclass(frozen=True)
class Verdict:
    """`word` is killed, timeout, survived, or unreached where there was no judge; `by` the test that failed first."""

    word: str
    seconds: float
    by: str


def make_case(mutant: Mutant, touched: Touched) -> Case:
    """Choose the judges: own tests first, then fast ones, until BUDGET is used up; for a script the model too."""
    name = mutant.path.rpartition("/")[2]
    if name.endswith(".lua"):
        reaching = touched.by_script(name.removesuffix(".lua"))
    else:
        reaching = touched.by_lines(mutant.path, mutant.lines)
    # Alone, since what it tries depends on the modules that were imported before.
    model = [test for test in reaching if test.startswith(MODEL)]
    seconds = touched.seconds
    chosen: list[str] = []
    total = 0.0
    for test in sorted(reaching - set(model), key=lambda test: (own_first(mutant.path, test), seconds[test], test)):
        if total < BUDGET:
            chosen.append(test)
            total += seconds[test]
    return Case(mutant, tuple(_session(tests, touched) for tests in (chosen, model) if tests), len(reaching))


def _session(tests: Sequence[str], touched: Touched) -> Session:
    times = [touched.seconds[test] for test in tests]
    return Session(tuple(tests), sum(times), max(times))
