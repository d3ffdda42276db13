"""Dask distributed on one machine: a scheduler in this process, `WORKERS` processes of one thread, futures."""

from __future__ import annotations

import os
from itertools import chain

from distributed import Client

from bench.compare.baselines.calls import Entry, call_each, call_model, cut
from bench.compare.baselines.calls import write_summary as write
from bench.compare.baselines.driver import drive


def write_summary(batch: str, entries: list[Entry]) -> None:
    """Write the summary of one-item tasks."""
    write(batch, entries)


def write_summary_of_chunks(batch: str, chunks: list[list[Entry]]) -> None:
    """Write the summary of tasks with many items."""
    write(batch, list(chain.from_iterable(chunks)))


def main() -> None:
    """Start the cluster, then serve."""
    client = Client(
        n_workers=int(os.environ["WORKERS"]), threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )

    def run(batch: str, items: list[str], chunk: int) -> None:
        # Calls have effects: none may be taken for another of the same argument.
        if chunk == 1:
            entries = client.map(call_model, items, pure=False)
            client.submit(write_summary, batch, entries, pure=False).result()
        else:
            chunks = client.map(call_each, cut(items, chunk), pure=False)
            client.submit(write_summary_of_chunks, batch, chunks, pure=False).result()

    drive(run)


if __name__ == "__main__":
    main()
