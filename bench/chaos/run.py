"""One run: submit a batch, let its plan happen, gather and judge; and many runs, on several stacks side by side."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.chaos.checker import OK, Evidence, check
from bench.chaos.director import Director
from bench.chaos.plan import Plan, Scale
from bench.chaos.stage import Stage, stage
from bench.chaos.user import User
from pipeline.local.errors import LocalError

# Of the stacks of one series: a port that is taken, a service that does not come back.
MOST_BROKEN = 3


@dataclass(frozen=True)
class Result:
    """One run, judged. `fired` are the steps in their order, `faults` counts steps and rules by kind.

    `first` is the batch as it was before its redrive, None for one that was not redriven.
    """

    plan: Plan
    evidence: Evidence
    fired: list[str]
    faults: dict[str, int]
    seconds: float
    violations: list[str]
    first: Evidence | None = None

    @property
    def repeated(self) -> int:
        """Successful calls for items that had succeeded before: the work that the faults made run again."""
        well = [seen.item for seen in self.evidence.seen if seen.kind == "call" and seen.status == OK]
        return max(0, len(well) - len(set(well)))


async def run(stage: Stage, plan: Plan, name: str, keep: Path) -> Result:
    """Run a plan under the batch id `name`; the evidence of violations goes into `keep`/`name`."""
    await stage.reset()
    marks = {log: log.stat().st_size for log in stage.stack.directory.glob("*.log")}
    user = User(stage, name, plan)
    await user.prepare()
    director = Director(user)
    started = time.monotonic()
    director.start()
    try:
        await user.submit()
        evidence = await _follow(user, director)
        violations, first = check(evidence), None
        if plan.redrive and not violations:
            first = evidence
            stage.heal()
            await user.redrive()
            evidence = await _follow(user, director, begun=first.status["generation"] + 1)
            violations = [f"after the redrive: {violation}" for violation in check(evidence)]
    finally:
        await director.stop()
    seconds = time.monotonic() - started
    result = Result(plan, evidence, director.fired, dict(director.faults), seconds, violations, first)
    if result.violations:
        _keep(user, result, keep / name, marks)
        # A batch that hangs would disturb the next run.
        await stage.ask("cancel", headers={}, batch=name)
    stage.stack.gateway.wipe_queue()
    return result


async def _follow(user: User, director: Director, begun: int = 0) -> Evidence:
    """Wait for the end of the batch and of the fault under way, and gather the evidence."""
    status = await user.follow()
    await director.settle()
    known = Evidence(
        *(user.plan.rows, user.plan.options, status, None, None, [], list(director.seen)),
        stopped=user.stopped,
        cancelled=user.cancelled,
        problems=tuple(user.problems),
        begun=begun,
    )
    return await user.stage.gather(user.batch, known)


def _keep(user: User, result: Result, folder: Path, marks: dict[Path, int]) -> None:
    """Write the run, and what the logs have had since their marks, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence = asdict(result.evidence) | {"objects": sorted(result.evidence.objects)}
    documents = {"plan": asdict(result.plan), "fired": result.fired, "requests": user.requests, **evidence}
    for name, document in {**documents, "violations": result.violations}.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
    for file in user.stage.stack.directory.glob("*.log"):
        (folder / file.name).write_bytes(file.read_bytes()[marks.get(file, 0) :])


async def run_all(
    plans: Sequence[Plan], scale: Scale, parallel: int, keep: Path, done: Callable[[Result], None]
) -> None:
    """Run the plans on `parallel` stacks; a run whose stack breaks is begun again on another.

    Raises LocalError or TimeoutError when several break.
    """
    waiting = list(reversed(plans))
    broken: list[str] = []

    async def on_one_stack() -> None:
        async with stage(scale.settings) as one:
            while waiting:
                plan = waiting.pop()
                try:
                    result = await run(one, plan, f"chaos-{plan.seed}", keep)
                except (LocalError, TimeoutError):
                    waiting.append(plan)
                    raise
                done(result)
                if result.violations:
                    # What is left of the batch could disturb the next one.
                    return

    async def work() -> None:
        while waiting:
            try:
                await on_one_stack()
            except (LocalError, TimeoutError) as error:
                print(f"a stack broke: {error}")
                broken.append(str(error))
                if len(broken) > MOST_BROKEN:
                    raise

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))
