"""What a hundred million items would take on a cluster, on paper: from measured rows and stated assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.speed.scale.figures import Run

ITEMS = 100_000_000
HOURS = (24.0, 1.0)
SECONDS = 3600
GB = 1e9
MILLION = 1e6


@dataclass(frozen=True)
class Assumed:
    """What is not measured here. Prices are in dollars, rates are those of one of its kind, a second.

    `usable` is the share of a core that is planned with; `model_ms` are milliseconds an item in the model function;
    `invocation_seconds` is the time that one invocation has: the opening of a batch is one, and its reduce another.
    """

    put_price: float = 5.0
    get_price: float = 0.4
    storage_price: float = 0.023
    s3_puts: float = 3_500
    s3_gets: float = 5_500
    nats_messages: float = 5_000
    usable: float = 0.7
    model_ms: float = 10
    invocation_seconds: float = 60
    max_rows: int = 10_000_000


ASSUMED = Assumed()


@dataclass(frozen=True)
class Need:
    """What some items take whatever the time: S3 requests and bytes, Redis bytes with all batches open, dollars."""

    batches: int
    batch_items: int
    open_seconds: float
    reduce_seconds: float
    redis_bytes: float
    s3_puts: float
    s3_gets: float
    stored_bytes: float
    messages: float
    request_dollars: float
    month_dollars: float


@dataclass(frozen=True)
class Fleet:
    """What does it in `hours`. `loads` are needs as multiples of what one of its kind gives: over 1 it takes more."""

    hours: float
    pipelines: int
    queue_workers: int
    messages_a_second: float
    loads: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """What there is one of, and is used the most."""
        return max(self.loads, key=lambda name: self.loads[name])

    @property
    def least_hours(self) -> float:
        """The hours in which the bottleneck would be full."""
        return self.hours * self.loads[self.bottleneck]


def need(run: Run, items: int = ITEMS, assumed: Assumed = ASSUMED) -> Need:
    """Return what so many items need at the costs of `run`, the largest one measured with its chunk.

    They are split into batches whose opening and whose reduce each end within one invocation. What a batch costs once
    counts with its items, so the costs are rather too high.
    """
    slowest = max(run.open_seconds, run.reduce_seconds) / run.items
    most = min(assumed.max_rows, int(assumed.invocation_seconds / slowest))
    batches = math.ceil(items / most)
    scale = items / run.items
    puts, gets, stored = (scale * value for value in (run.s3_put, run.s3_get, run.stored_bytes))
    return Need(
        batches=batches,
        batch_items=math.ceil(items / batches),
        open_seconds=run.open_seconds * scale / batches,
        reduce_seconds=run.reduce_seconds * scale / batches,
        redis_bytes=run.redis_bytes * batches,
        s3_puts=puts,
        s3_gets=gets,
        stored_bytes=stored,
        messages=math.ceil(items / run.chunk) + 2 * batches,
        request_dollars=(puts * assumed.put_price + gets * assumed.get_price) / MILLION,
        month_dollars=stored / GB * assumed.storage_price,
    )


def fleet(run: Run, hours: float, items: int = ITEMS, assumed: Assumed = ASSUMED) -> Fleet:
    """Return what does so many items in `hours` at the costs of `run`."""
    seconds = hours * SECONDS
    needs = need(run, items, assumed)
    scale = items / run.items

    def cores(cpu_ms: float) -> float:
        return cpu_ms * scale / 1000 / seconds / assumed.usable

    # A slot is held while the task, the model function and the callback work.
    held = run.pipeline_cpu_ms + run.gateway_cpu_ms + run.redis_cpu_ms + assumed.model_ms * run.items
    return Fleet(
        hours=hours,
        pipelines=math.ceil(cores(run.pipeline_cpu_ms)),
        queue_workers=math.ceil(held * scale / 1000 / seconds),
        messages_a_second=needs.messages / seconds,
        loads={
            "one Redis core": cores(run.redis_cpu_ms),
            "one NATS": needs.messages / seconds / assumed.nats_messages,
            "one S3 prefix, PUT": needs.s3_puts / seconds / assumed.s3_puts,
            "one S3 prefix, GET": needs.s3_gets / seconds / assumed.s3_gets,
        },
    )
