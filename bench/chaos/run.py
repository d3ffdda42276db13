"""One run: submit a batch, let its plan happen, gather and judge; and many runs, on several stacks side by side."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.chaos.checker import check
from bench.chaos.clients import COLUMN, Client
from bench.chaos.director import Director, FaultLog
from bench.chaos.evidence import Evidence, gather
from bench.chaos.plan import Step
from bench.chaos.report import row
from bench.chaos.stage import stage
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.chaos.plan import Plan, Scale
    from bench.chaos.stage import Stage

REDRIVE = Step("redrive", "end", 1)
# Of the stacks of one series: a port that is taken, a service that does not come back.
MOST_BROKEN = 3
SHOWN = (
    *("items", "state", "succeeded", "failed", "time_up", "never_run"),
    *("model_calls", "repeated_calls", "redriven", "seconds"),
)


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
        well = [seen.item for seen in self.evidence.seen if seen.kind == "call" and seen.status == 200]  # noqa: PLR2004
        return max(0, len(well) - len(set(well)))


async def run(stage: Stage, plan: Plan, name: str, keep: Path) -> Result:
    """Run a plan under the batch id `name`; the evidence of violations goes into `keep`/`name`."""
    await stage.whole()
    stage.clear()
    marks = {log: log.stat().st_size for log in stage.stack.directory.glob("*.log")}
    fault_log = stage.folder / f"{name}.faults.ndjson"
    fault_log.unlink(missing_ok=True)
    log, client = FaultLog(fault_log), Client(stage, name, plan)
    await client.prepare()
    director = Director(plan, stage.stack.gateway, client, stage.folder, log)
    started = time.monotonic()
    director.start()
    try:
        await client.submit()
        evidence = await _follow(client, director)
        violations, first = check(evidence), None
        if plan.redrive and not violations:
            first = evidence
            stage.heal()
            await client.strike(REDRIVE)
            evidence = await _follow(client, director, begun=first.status["generation"] + 1)
            violations = [f"after the redrive: {violation}" for violation in check(evidence)]
    finally:
        await director.stop()
    result = Result(plan, evidence, log.fired, dict(log.counts), time.monotonic() - started, violations, first)
    if result.violations:
        _keep(stage, result, keep / name, (fault_log, stage.model_log), marks)
        (keep / name / "requests.ndjson").write_text("".join(json.dumps(one) + "\n" for one in client.requests))
        # A batch that hangs would disturb the next run.
        with suppress(TimeoutError):
            await stage.ask("cancel", {"batch": name})
    stage.stack.gateway.wipe_queue()
    return result


async def _follow(client: Client, director: Director, begun: int = 0) -> Evidence:
    """Wait for the end of the batch and of the fault under way, and gather the evidence."""
    status = await client.follow()
    await director.settle()
    plan = client.plan
    known = Evidence(
        *(plan.rows, plan.options, status, None, None, [], list(director.seen)),
        stopped=client.stopped,
        cancelled=client.cancelled,
        problems=tuple(client.problems),
        column=COLUMN,
        begun=begun,
    )
    return await gather(client.stage, client.batch, known)


def _keep(stage: Stage, result: Result, folder: Path, files: Sequence[Path], marks: dict[Path, int]) -> None:
    """Write the run, and copy the files and what the logs have had since their marks, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence = result.evidence
    documents = {"plan": result.plan.document(), "status": evidence.status, "summary": evidence.summary}
    for name, document in {**documents, "seen": [asdict(seen) for seen in evidence.seen]}.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
    (folder / "violations.txt").write_text("\n".join(result.violations) + "\n")
    for file in [*files, *stage.stack.directory.glob("*.log")]:
        if file.exists():
            (folder / file.name).write_bytes(file.read_bytes()[marks.get(file, 0) :])


@dataclass(frozen=True)
class Series:
    """The output of runs: `keep` is the folder for violations, `done` is called with each result.

    `options` are the options that make a replay of a seed the same plan.
    """

    console: Console
    keep: Path
    done: Callable[[Result], None]
    options: str = ""


async def run_all(plans: Sequence[Plan], scale: Scale, parallel: int, series: Series) -> None:
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
                    result = await run(one, plan, f"chaos-{plan.seed}", series.keep)
                except (LocalError, TimeoutError):
                    waiting.append(plan)
                    raise
                series.done(result)
                tell(series, result)
                if result.violations:
                    # What is left of the batch could disturb the next one.
                    return

    async def work() -> None:
        while waiting:
            try:
                await on_one_stack()
            except (LocalError, TimeoutError) as error:
                series.console.print(f"a stack broke: {error}")
                broken.append(str(error))
                if len(broken) > MOST_BROKEN:
                    raise

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))


def tell(series: Series, result: Result) -> None:
    """Print one line for a run, and its violations with the command that replays them."""
    console, folder = series.console, series.keep / f"chaos-{result.plan.seed}"
    figures: dict[str, Any] = row(result)
    text = " ".join(f"{name}={figures[name]}" for name in SHOWN)
    steps = f"{figures['steps_fired']}/{figures['steps_planned']} steps"
    seed = result.plan.seed
    console.print(f"{time.strftime('%H:%M:%S')} seed {seed}: {text} {steps} {figures['faults']}")
    for violation in result.violations:
        console.print(f"  violation: {violation}")
    if result.violations:
        console.print(f"  evidence in {folder}; again: python -m bench.chaos --seed {seed}{series.options}")
