"""The client of the Celery workers, of which `NODES` must be there before it serves."""

from __future__ import annotations

import os

from celery import chord, group

from bench.compare.baselines.celery_app import app, call_item, write_summary, write_summary_of_chunks
from bench.compare.baselines.driver import drive


def run(batch: str, items: list[str], chunk: int) -> None:
    """Send a batch off: a task an item, or Celery's own chunks."""
    if chunk == 1:
        chord(group(call_item.s(item) for item in items))(write_summary.s(batch))
    else:
        chord(call_item.chunks(zip(items, strict=True), chunk).group())(write_summary_of_chunks.s(batch))


def main() -> None:
    """Wait for the workers, then serve."""
    while len(app.control.ping(timeout=1.0)) < int(os.environ["NODES"]):
        pass
    drive(run)


if __name__ == "__main__":
    main()
