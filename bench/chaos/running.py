"""One run: submit the batch as a client would, let the plan happen, wait for the end, gather and judge."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.chaos.checker import check
from bench.chaos.director import Director
from bench.chaos.evidence import ENDED, Evidence, gather
from bench.chaos.stage import REQUEST
from bench.chaos.traces import FaultLog

if TYPE_CHECKING:
    from pathlib import Path

    from bench.chaos.plan import Plan, Step
    from bench.chaos.stage import Stage

# Twenty silences without any progress.
HANG = 60.0
LIMIT = 400.0
POLL = 0.1
TAKEN = frozenset({200, 201, 202})
COLUMN = "item"


@dataclass(frozen=True)
class Result:
    """One run, judged. `fired` are the steps in their order, `faults` counts steps and rules by kind."""

    plan: Plan
    evidence: Evidence
    fired: list[str]
    faults: dict[str, int]
    seconds: float
    violations: list[str]

    @property
    def repeated(self) -> int:
        """Calls that were answered well after their item had been: what the faults made run again."""
        well = [seen.item for seen in self.evidence.seen if seen.kind == "call" and seen.status == 200]  # noqa: PLR2004
        return max(0, len(well) - len(set(well)))


@dataclass
class _Client:
    """Somebody who submits a batch, looks at it, and tries again when nobody answers."""

    stage: Stage
    batch: str
    plan: Plan
    problems: list[str] = field(default_factory=list)
    stopped: bool = False

    async def submit(self) -> None:
        """Submit until it is taken; the same id and specification are the same batch."""
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self._submit_once()
            if status in TAKEN:
                return
            if (status and status < 500) or time.monotonic() > deadline:  # noqa: PLR2004
                self.problems.append(f"the submission was answered {status}: {document}")
                return
            await asyncio.sleep(POLL)

    async def _submit_once(self) -> tuple[int, Any]:
        headers = {"X-Batch-Id": self.batch}
        options = {name: str(value) for name, value in self.plan.options.items()}
        csv = "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()
        if not self.plan.by_key:
            return await self.stage.ask("batch", options, body=csv, headers={**headers, "Content-Type": "text/csv"})
        return await self.stage.ask("batch", options, body=f"chaos/{self.batch}.csv".encode(), headers=headers)

    async def prepare(self) -> None:
        if self.plan.by_key:
            csv = "".join(f"{row}\n" for row in (COLUMN, *self.plan.rows)).encode()
            await self.stage.put(f"chaos/{self.batch}.csv", csv)

    async def strike(self, step: Step) -> None:
        """Do what a user does; the rest is the stage's."""
        match step.fault:
            case "cancel":
                self.stopped = True
                await self._insist("cancel", {202, 404, 409})
            case "resubmit":
                await self.submit()
            case "pause":
                await self._insist("pause", {200, 202, 404, 409})
                await asyncio.sleep(step.value)
                await self._insist("resume", {200, 202, 404, 409})
            case _:
                await self.stage.strike(step)

    async def _insist(self, mode: str, fine: set[int]) -> None:
        deadline = time.monotonic() + HANG
        while True:
            status, document = await self.stage.ask(mode, {"batch": self.batch})
            if status in fine:
                return
            if time.monotonic() > deadline or 0 < status < 500:  # noqa: PLR2004
                self.problems.append(f"{mode} was answered {status}: {document}")
                return
            await asyncio.sleep(POLL)

    async def status(self) -> dict[str, Any] | None:
        """Read the status: None while nobody answers, {} when there is no such batch."""
        try:
            async with self.stage.http.get(self.stage.url, params={"batch": self.batch}, timeout=REQUEST) as answer:
                if answer.status == 404:  # noqa: PLR2004
                    return {}
                document: dict[str, Any] = await answer.json()
                return document if answer.status == 200 else None  # noqa: PLR2004
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def follow(self) -> dict[str, Any]:
        """Return the status once the batch has ended, or has stood still for long."""
        started = changed = time.monotonic()
        last: tuple[Any, ...] = ()
        status: dict[str, Any] = {}
        while True:
            read = await self.status()
            now = time.monotonic()
            if read == {}:
                self.problems.append("a batch that was taken is gone")
                await self.submit()
            if read:
                status = read
                if status["state"] in ENDED:
                    return status
                progress = tuple(status[name] for name in ("state", "generation", "succeeded", "failed", "settled"))
                if progress != last:
                    last, changed = progress, now
            if now - changed > HANG or now - started > LIMIT:
                self.problems.append(f"it hangs after {now - started:.0f} s: {status}")
                return status
            await asyncio.sleep(POLL)


async def run(stage: Stage, plan: Plan, name: str, keep: Path) -> Result:
    """Run a plan under the batch id `name`; what a violation needs to be understood goes into `keep`/`name`."""
    await stage.whole()
    stage.clear()
    marks = {log: log.stat().st_size for log in stage.stack.directory.glob("*.log")}
    fault_log = stage.folder / f"{name}.faults.ndjson"
    fault_log.unlink(missing_ok=True)
    log, client = FaultLog(fault_log), _Client(stage, name, plan)
    await client.prepare()
    director = Director(plan, stage.stack.gateway, client, stage.folder, log)
    started = time.monotonic()
    director.start()
    try:
        await client.submit()
        status = await client.follow()
    finally:
        await director.stop()
    seconds = time.monotonic() - started
    known = Evidence(
        *(plan.rows, plan.options, status, None, None, [], director.seen),
        stopped=client.stopped,
        s3_away="restart-s3" in log.counts,
        problems=tuple(client.problems),
        column=COLUMN,
    )
    evidence = await gather(stage, name, known)
    result = Result(plan, evidence, log.fired, dict(log.counts), seconds, check(evidence))
    if result.violations:
        _keep(stage, result, keep / name, fault_log, marks)
        # What hangs would be in the way of the next run.
        with suppress(TimeoutError):
            await stage.ask("cancel", {"batch": name})
    stage.stack.gateway.wipe_queue()
    return result


def _keep(stage: Stage, result: Result, folder: Path, fault_log: Path, marks: dict[Path, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    evidence = result.evidence
    (folder / "plan.json").write_text(json.dumps(result.plan.document(), indent=1))
    (folder / "violations.txt").write_text("\n".join(result.violations) + "\n")
    (folder / "status.json").write_text(json.dumps(evidence.status, indent=1))
    (folder / "summary.json").write_text(json.dumps(evidence.summary, indent=0))
    (folder / "seen.ndjson").write_text("".join(json.dumps(asdict(seen)) + "\n" for seen in evidence.seen))
    if fault_log.exists():
        shutil.copy(fault_log, folder / "faults.ndjson")
    if stage.model_log.exists():
        shutil.copy(stage.model_log, folder / "calls.ndjson")
    for log in stage.stack.directory.glob("*.log"):
        with log.open("rb") as file:
            file.seek(marks.get(log, 0))
            (folder / log.name).write_bytes(file.read())
