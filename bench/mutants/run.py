"""The run: a map of the tests, a sample of mutants, and their verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from bench.mutants.cases import Case, Touched, Verdict, make_case
from bench.mutants.forks import OPTIONS, enter, run_forked
from bench.mutants.lua import lua_mutants
from bench.mutants.mapping import record_in
from bench.mutants.modules import MODEL, judges
from bench.mutants.python import python_mutants
from bench.mutants.report import Scope
from bench.mutants.stage import Job, job

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.mutants.cases import Mutant, Session
    from bench.mutants.forks import Ground

# Tests may take so many times longer than with nothing changed, all of them and one.
SLOWER = 4
GRACE = 30.0
ONE_TEST = 20.0
CONTROLS = 6

Done = Callable[[Case, Verdict], None]


class FirstFailure:
    """A plugin that notes the first test that fails."""

    def __init__(self, ground: Ground) -> None:
        self._note = ground.note

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first failure: with -x there is one, and perhaps its teardown's."""
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
    # A module that cannot be imported ends pytest before the first test.
    return "killed", ground.note.read_text() if ground.note.exists() else f"exit code {code}"


@dataclass(frozen=True)
class Plan:
    """The mutants for one module, the modules, the seed that chooses the mutants, and the jobs that judge them."""

    per_module: int
    modules: tuple[str, ...]
    seed: int
    jobs: int


async def run(plan: Plan, console: Console, begin: Callable[[Scope, int], None], done: Done) -> None:
    """Call `begin` with the scope and how many cases there are, `done` with one verdict.

    Raises BenchError and LocalError.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        jobs: list[Job] = []
        for _ in range(plan.jobs):
            # All jobs have the same files, even if someone edits them meanwhile.
            jobs.append(await cleanup.enter_async_context(job(jobs[0].ground.tree if jobs else None)))
        mutants, places = sample(plan, jobs[0].ground.tree)
        console.print("Running all judges once, with nothing changed ...")
        touched = await make_map(jobs, plan.modules)
        cases = [make_case(mutant, touched) for mutant in mutants]
        waiting = deque(shuffled([*cases, *controls(cases, plan.seed)], plan.seed))
        begin(Scope(places, len(touched.seconds) - len(touched.failed), tuple(sorted(touched.failed))), len(waiting))
        async with asyncio.TaskGroup() as group:
            for one in jobs:
                group.create_task(_work(one, waiting, plan.seed, done))


def sample(plan: Plan, tree: Path) -> tuple[list[Mutant], dict[str, int]]:
    """Choose the mutants; returns them, and the number of places for one in one module."""
    mutants: list[Mutant] = []
    places: dict[str, int] = {}
    for module in plan.modules:
        source = (tree / module).read_text()
        rng = random.Random(f"{plan.seed}:{module}")
        if module.endswith(".lua"):
            every = lua_mutants(module, source)
            places[module] = len(every)
            mutants += rng.sample(every, min(plan.per_module, len(every)))
        else:
            chosen, places[module] = python_mutants(module, source, plan.per_module, rng)
            mutants += chosen
    return mutants, places


async def make_map(jobs: Sequence[Job], modules: Sequence[str]) -> Touched:
    """Run all judges with nothing changed, shared out to the jobs; the ledger's model alone, as it judges."""
    files = judges(jobs[0].ground.tree)
    shares = [files[number :: len(jobs)] for number in range(len(jobs))]
    touched = Touched()
    notes = await asyncio.gather(
        *(record_in(one.ground, share, modules) for one, share in zip(jobs, shares, strict=True) if share)
    )
    if any(module.endswith(".lua") for module in modules):
        await jobs[0].clean()
        notes.append(await record_in(jobs[0].ground, [MODEL], modules))
    for part in notes:
        touched.add(part)
    return touched


def controls(cases: Sequence[Case], seed: int) -> list[Case]:
    """Return some of the cases with nothing changed: they have to survive, or all verdicts are worthless."""
    judged = [case for case in cases if case.sessions]
    chosen = random.Random(f"{seed}:controls").sample(judged, min(CONTROLS, len(judged)))
    return [replace(case, mutant=replace(case.mutant, code=case.mutant.source), control=True) for case in chosen]


def shuffled(cases: list[Case], seed: int) -> list[Case]:
    """Return the cases in an order in which any beginning of them is a sample too."""
    return random.Random(f"{seed}:order").sample(cases, len(cases))


async def _work(one: Job, waiting: deque[Case], seed: int, done: Done) -> None:
    while waiting:
        case = waiting.popleft()
        await one.clean()
        done(case, await judge(case, one.ground, seed))
