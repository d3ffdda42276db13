"""The plan as a page of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.speed.scale.plan import ASSUMED, GB, HOURS, ITEMS, MILLION, fleet, need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.scale.figures import Run
    from bench.speed.scale.plan import Fleet, Need

INTRODUCTION = f"""# {ITEMS:,} items, on paper

Computed from the rows of `scale.csv` by `scaling/plan.py`; nothing of it was run. The costs of an item are those of the
largest batch measured with its chunk, taken as constant, with all that a batch costs once. A replica of the pipeline is
one core.

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
    lines = [INTRODUCTION, "## Whatever the time", "", *_table(head, _need_rows(needs))]
    for hours in HOURS:
        fleets = [fleet(run, hours) for run in largest]
        lines += ["", f"## In {hours:g} h", "", *_table(head, _fleet_rows(fleets))]
    return "\n".join(lines) + "\n"


def _need_rows(needs: Sequence[Need]) -> list[tuple[str, ...]]:
    return [
        ("batches", *(f"{each.batches:,} of {each.batch_items:,}" for each in needs)),
        ("opening / reduce of one", *(f"{each.open_seconds:.1f} s / {each.reduce_seconds:.1f} s" for each in needs)),
        ("Redis, all batches open", *(f"{each.redis_bytes / MILLION:,.0f} MB" for each in needs)),
        ("messages in NATS", *(f"{each.messages:,.0f}" for each in needs)),
        ("S3 PUT / GET", *(f"{each.s3_puts:,.0f} / {each.s3_gets:,.0f}" for each in needs)),
        ("price of the requests", *(f"${each.request_dollars:,.2f}" for each in needs)),
        ("kept in S3", *(f"{each.stored_bytes / GB:,.1f} GB, ${each.month_dollars:,.2f} a month" for each in needs)),
    ]


def _fleet_rows(fleets: Sequence[Fleet]) -> list[tuple[str, ...]]:
    loads = [(f"used of {name}", *(f"{each.loads[name]:.1%}" for each in fleets)) for name in fleets[0].loads]
    return [
        ("replicas of the pipeline", *(f"{each.pipelines:,}" for each in fleets)),
        ("queue-workers", *(f"{each.queue_workers:,}" for each in fleets)),
        ("messages a second", *(f"{each.messages_a_second:,.1f}" for each in fleets)),
        *loads,
        ("first bottleneck", *(each.bottleneck for each in fleets)),
        ("full at", *(f"{each.least_hours:.2f} h" for each in fleets)),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
