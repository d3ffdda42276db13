"""A change, the tests that touch it and judge it, and their verdict."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from bench.mutants.modules import MODEL, own_first

if TYPE_CHECKING:
    from collections.abc import Sequence


# Seconds of tests a change, as they took with nothing changed.
BUDGET = 40.0


class Touched:
    """The lines and scripts that tests touch; `failed` tests fail with nothing changed, and judge nothing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._scripts: dict[str, set[str]] = defaultdict(set)
        # Lines that run when the module is imported have the test '' too.
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(self, note: dict[str, Any]) -> None:
        """Add the note of a `record`."""
        self.seconds |= note["seconds"]
        self.failed |= set(note["failed"])
        for name, tests in note["scripts"].items():
            self._scripts[name] |= set(tests)
        for module, lines in note["lines"].items():
            for line, tests in lines.items():
                self._lines[module][int(line)] |= set(tests)

    def by_script(self, name: str) -> set[str]:
        """Return the tests that run a script; those of all scripts for the code that is prepended to each."""
        touching = self._scripts.values() if name in {"fields", "common"} else [self._scripts[name]]
        return self._judging(set().union(*touching))

    def by_lines(self, module: str, lines: range) -> set[str]:
        """Return the tests that touch one of the lines; for lines that the import runs, all that use the module."""
        known = self._lines[module]
        tests: set[str] = set().union(*(known[line] for line in lines if line in known))
        if tests == {""}:
            tests = set().union(*known.values())
        return self._judging(tests)

    def _judging(self, tests: set[str]) -> set[str]:
        return {test for test in tests if test in self.seconds and test not in self.failed}


@dataclass(frozen=True)
class Mutant:
    """A file with one change: `code` is all of it; `lines` are the statement's, the change begins in `line`."""

    path: str
    line: int
    lines: range
    what: str
    source: str
    code: str

    def change(self) -> tuple[str, str]:
        """Return the first line that differs, before and after, without the space around it."""
        pairs = zip_longest(self.source.splitlines(), self.code.splitlines(), fillvalue="")
        old, new = next(((old, new) for old, new in pairs if old != new), ("", ""))
        return old.strip(), new.strip()


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
        """The number of judges."""
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
