"""The run: maps, a sample of changes, and their verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.mutants.cases import Case, Verdict, make_case
from bench.mutants.judging import judge
from bench.mutants.lua import lua_mutants
from bench.mutants.mapping import record_in
from bench.mutants.modules import MODEL, judges
from bench.mutants.python import python_mutants
from bench.mutants.report import Scope
from bench.mutants.stage import Job, job
from bench.mutants.touched import Touched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.mutants.mutant import Mutant

CONTROLS = 6

Done = Callable[[Case, Verdict], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for: how many changes a module, of which modules, chosen by which seed, judged by how many jobs."""

    per_module: int
    modules: tuple[str, ...]
    seed: int
    jobs: int


async def run(plan: Plan, console: Console, begin: Callable[[Scope, int], None], done: Done) -> None:
    """Call `begin` with the scope and how many cases there are, `done` with each verdict.

    Raises BenchError and LocalError.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        jobs: list[Job] = []
        for _ in range(plan.jobs):
            # All have the same files, whoever edits them meanwhile.
            jobs.append(await cleanup.enter_async_context(job(jobs[0].ground.tree if jobs else None)))
        mutants, places = sample(plan, jobs[0].ground.tree)
        console.print("Running all judges once, with nothing changed ...")
        touched = await make_map(jobs, plan.modules)
        cases = [make_case(mutant, touched) for mutant in mutants]
        waiting = deque(shuffled([*cases, *controls(cases, plan.seed)], plan.seed))
        begin(Scope(places, len(touched.seconds) - len(touched.failed), tuple(sorted(touched.failed))), len(waiting))
        async with asyncio.TaskGroup() as group:
            for each in jobs:
                group.create_task(_work(each, waiting, plan.seed, done))


def sample(plan: Plan, tree: Path) -> tuple[list[Mutant], dict[str, int]]:
    """Choose the changes; returns them, and how many places for one each module has."""
    mutants: list[Mutant] = []
    places: dict[str, int] = {}
    for module in plan.modules:
        source = (tree / module).read_text()
        rng = random.Random(f"{plan.seed}:{module}")
        if module.endswith(".lua"):
            found = lua_mutants(module, source)
            places[module] = len(found)
            mutants += rng.sample(found, min(plan.per_module, len(found)))
        else:
            chosen, places[module] = python_mutants(module, source, plan.per_module, rng)
            mutants += chosen
    return mutants, places


async def make_map(jobs: Sequence[Job], modules: Sequence[str]) -> Touched:
    """Run all judges with nothing changed, shared out to the jobs; the ledger's model alone, as it judges."""
    files = judges(jobs[0].ground.tree)
    shares = [files[number :: len(jobs)] for number in range(len(jobs))]
    touched = Touched()
    found = await asyncio.gather(
        *(record_in(each.ground, share, modules) for each, share in zip(jobs, shares, strict=True) if share)
    )
    if any(module.endswith(".lua") for module in modules):
        await jobs[0].clean()
        found.append(await record_in(jobs[0].ground, [MODEL], modules))
    for part in found:
        touched.add(part)
    return touched


def controls(cases: Sequence[Case], seed: int) -> list[Case]:
    """Return some of the cases with nothing changed: they have to survive, or no verdict is worth anything."""
    judged = [case for case in cases if case.sessions]
    chosen = random.Random(f"{seed}:controls").sample(judged, min(CONTROLS, len(judged)))
    return [replace(case, mutant=replace(case.mutant, code=case.mutant.source), control=True) for case in chosen]


def shuffled(cases: list[Case], seed: int) -> list[Case]:
    """Return the cases in an order in which any beginning of them is a sample too."""
    return random.Random(f"{seed}:order").sample(cases, len(cases))


async def _work(each: Job, waiting: deque[Case], seed: int, done: Done) -> None:
    while waiting:
        case = waiting.popleft()
        await each.clean()
        done(case, await judge(case, each.ground, seed))
