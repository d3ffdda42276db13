"""Whether a test notices a change."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from bench.mutants.cases import Verdict
from bench.mutants.forks import OPTIONS, enter, run_forked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.mutants.cases import Case, Session
    from bench.mutants.forks import Ground

# How much longer than with nothing changed tests may take, all of them and each.
SLOWER = 4
GRACE = 30.0
ONE_TEST = 20.0


class FirstFailure:
    """A plugin that notes the first test that fails."""

    def __init__(self, ground: Ground) -> None:
        self._note = ground.note

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With -x there is one, and what its teardown says."""
        if report.failed and not self._note.exists():
            self._note.write_text(report.nodeid)


def run_judges(ground: Ground, tests: Sequence[str], timeout: float, seed: int) -> None:
    """Run tests in the ground until one fails. Ends the process."""
    enter(ground)
    options = (*OPTIONS, "-x", "-o", f"timeout={timeout:.0f}", f"--hypothesis-seed={seed}")
    os._exit(int(pytest.main([*options, *tests], plugins=[FirstFailure(ground)])))


async def judge(case: Case, ground: Ground, seed: int) -> Verdict:
    """Make the change in the ground, run its judges, and take the change back."""
    if not case.sessions:
        return Verdict("unreached", 0.0, "")
    file = ground.tree / case.mutant.path
    began = time.monotonic()
    file.write_text(case.mutant.code)
    try:
        for session in case.sessions:
            word, by = await _ask(session, ground, seed)
            if word != "survived":
                break
    finally:
        file.write_text(case.mutant.source)
    return Verdict(word, time.monotonic() - began, by)


async def _ask(session: Session, ground: Ground, seed: int) -> tuple[str, str]:
    """Return the verdict's word, and the test that failed."""
    timeout = max(ONE_TEST, SLOWER * session.slowest)
    limit = SLOWER * session.seconds + GRACE
    code = await run_forked(run_judges, ground, session.tests, timeout, seed, limit=limit)
    if code is None:
        return "timeout", ""
    if code == pytest.ExitCode.OK:
        return "survived", ""
    # A module that cannot be imported ends pytest before its first test.
    return "killed", ground.note.read_text() if ground.note.exists() else f"exit code {code}"
