"""The plan for a hundred million items on a cluster, from measured rows and stated assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.kit.publish import markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.scale.figures import Run

ITEMS = 100_000_000
HOURS = (24.0, 1.0)
SECONDS = 3600
GB = 1e9
MILLION = 1e6


@dataclass(frozen=True)
class Assumed:
    """The assumptions. Prices are in dollars, rates are those of one server or prefix, a second.

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
    """The needs of some items at any speed: S3 requests and bytes, Redis bytes with all batches open, dollars."""

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
    """The fleet for `hours`. `loads` are shares of the capacity of one server or prefix: over 1 it takes more."""

    hours: float
    pipelines: int
    queue_workers: int
    messages_a_second: float
    loads: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """The name of the largest load."""
        return max(self.loads, key=lambda name: self.loads[name])

    @property
    def least_hours(self) -> float:
        """The hours in which the bottleneck would be full."""
        return self.hours * self.loads[self.bottleneck]


def need(run: Run, items: int = ITEMS, assumed: Assumed = ASSUMED) -> Need:
    """Return the needs of so many items at the costs of `run`, the largest one measured with its chunk.

    They are split into batches whose opening and whose reduce each end within one invocation. The fixed costs of a
    batch count with its items, so the costs are rather too high.
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
    """Return the fleet for so many items in `hours` at the costs of `run`."""
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


INTRODUCTION = f"""# {ITEMS:,} items, on paper

Computed from the rows of `scale.csv` by `bench/speed/scale/plan.py`; nothing of it was run. The costs of an item are
those of the largest batch measured with its chunk, taken as constant, with all that a batch costs once. A replica of
the pipeline is one core.

Assumed, not measured:

- S3 list prices: PUT, COPY, POST and LIST ${ASSUMED.put_price:g} a million, GET ${ASSUMED.get_price:g} a million,
  storage ${ASSUMED.storage_price:g} a GB and month.
- S3 takes {ASSUMED.s3_puts:,.0f} PUT and {ASSUMED.s3_gets:,.0f} GET a second on one prefix; NATS
  {ASSUMED.nats_messages:,.0f} messages a second.
- {ASSUMED.usable:.0%} of a core is planned with. The model function takes {ASSUMED.model_ms:g} ms an item, and a
  queue-worker holds one message at a time.
- The opening of a batch and its reduce each end within one invocation of {ASSUMED.invocation_seconds:g} s; a batch has
  at most {ASSUMED.max_rows:,} rows (setting `max_rows`). That says how many batches there are.

The gateway is not in it: what runs here is a stand-in. The queue never holds more than each batch's `window`.
"""


def plan_page(largest: Sequence[Run]) -> str:
    """Write the page from the largest run of each chunk."""
    needs = [need(run) for run in largest]
    head = ("", *(f"chunk {run.chunk:,} (measured at {run.items:,})" for run in largest))
    lines = [INTRODUCTION, "## Whatever the time", "", *markdown_table(head, _need_rows(needs))]
    for hours in HOURS:
        fleets = [fleet(run, hours) for run in largest]
        lines += ["", f"## In {hours:g} h", "", *markdown_table(head, _fleet_rows(fleets))]
    return "\n".join(lines) + "\n"


def _need_rows(needs: Sequence[Need]) -> list[tuple[str, ...]]:
    return [
        ("batches", *(f"{one.batches:,} of {one.batch_items:,}" for one in needs)),
        ("opening / reduce of one", *(f"{one.open_seconds:.1f} s / {one.reduce_seconds:.1f} s" for one in needs)),
        ("Redis, all batches open", *(f"{one.redis_bytes / MILLION:,.0f} MB" for one in needs)),
        ("messages in NATS", *(f"{one.messages:,.0f}" for one in needs)),
        ("S3 PUT / GET", *(f"{one.s3_puts:,.0f} / {one.s3_gets:,.0f}" for one in needs)),
        ("price of the requests", *(f"${one.request_dollars:,.2f}" for one in needs)),
        ("kept in S3", *(f"{one.stored_bytes / GB:,.1f} GB, ${one.month_dollars:,.2f} a month" for one in needs)),
    ]


def _fleet_rows(fleets: Sequence[Fleet]) -> list[tuple[str, ...]]:
    loads = [(f"used of {name}", *(f"{one.loads[name]:.1%}" for one in fleets)) for name in fleets[0].loads]
    return [
        ("replicas of the pipeline", *(f"{one.pipelines:,}" for one in fleets)),
        ("queue-workers", *(f"{one.queue_workers:,}" for one in fleets)),
        ("messages a second", *(f"{one.messages_a_second:,.1f}" for one in fleets)),
        *loads,
        ("first bottleneck", *(one.bottleneck for one in fleets)),
        ("full at", *(f"{one.least_hours:.2f} h" for one in fleets)),
    ]
