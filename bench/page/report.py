"""The figures as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.page.looking import Cost, Look
    from bench.page.reading import Reading


@dataclass(frozen=True)
class Watching:
    """All that was measured in one run; `look` and `cost` are of the last of the batches read."""

    readings: tuple[Reading, ...]
    cost: Cost
    look: Look


PAGE = """# What watching costs

`{command}`, {date}, {code}, {cores} cores: {cpu}

## A read of the status

Means of {reads} reads, one after the other, of a paused batch. Redis' commands are those inside the script.

| items | settled | kinds of failure | function, CPU ms | Redis, CPU ms | Redis round trips | Redis commands | p50, ms |
|---|---|---|---|---|---|---|---|
{readings}

## The page

Over the batch of {items:,} items, standing still, the function used {unwatched:.1f} ms of processor time a second
without a watcher, and {watched:.1f} ms with the page open.

While the batch ran, {settled:,} items settled in {seconds:.0f} s of looking at it:

| requests | tasks over 50 ms | longest of them, ms | longest frame, ms | heap, MiB | nodes |
|---|---|---|---|---|---|
| {requests} | {long_tasks} | {longest_ms:.0f} | {longest_frame_ms:.0f} | {heap} | {nodes} |
"""


def as_page(watching: Watching, machine: Mapping[str, Any]) -> str:
    """Write the figures as Markdown."""
    look = watching.look
    return PAGE.format(
        **machine,
        **asdict(look),
        reads=watching.readings[0].reads,
        readings="\n".join(map(_row, watching.readings)),
        items=watching.readings[-1].items,
        unwatched=watching.cost.unwatched_ms,
        watched=watching.cost.watched_ms,
        heap=f"{look.heap_before_mb:.1f} -> {look.heap_after_mb:.1f}",
        nodes=f"{look.nodes_before} -> {look.nodes_after}",
    )


def _row(reading: Reading) -> str:
    counts = (f"{reading.items:,}", f"{reading.settled:,}", str(reading.kinds))
    cpu = (f"{reading.function_cpu_ms:.2f}", f"{reading.redis_cpu_ms:.2f}")
    asked = (f"{reading.redis_round_trips:.2f}", f"{reading.redis_commands:.1f}", f"{reading.p50_ms:.1f}")
    return f"| {' | '.join((*counts, *cpu, *asked))} |"
