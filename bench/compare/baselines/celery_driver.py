"""The client of the Celery workers, of which `NODES` must be there before it serves."""

from __future__ import annotations

import os

from celery import chord, group

from bench.compare.baselines.celery_app import app, call_item, write_summary
from bench.compare.baselines.driver import drive


def run(batch: str, items: list[str], chunk: int) -> None:
    """Send a batch off: a task an item, or Celery's own chunks."""
    one_by_one = chunk == 1
    header = group(map(call_item.s, items)) if one_by_one else call_item.chunks(zip(items, strict=True), chunk).group()
    chord(header)(write_summary.s(batch))


def main() -> None:
    """Wait for the workers, then serve."""
    while len(app.control.ping(timeout=1.0)) < int(os.environ["NODES"]):
        pass
    drive(run)


if __name__ == "__main__":
    main()
