"""Dask distributed on one machine: a scheduler in this process, `WORKERS` processes of one thread, futures."""

from __future__ import annotations

import os

from distributed import Client

from bench.compare.baselines.calls import call_each, call_model, cut, write_summary
from bench.compare.baselines.driver import drive


def main() -> None:
    """Start the cluster, then serve."""
    client = Client(
        n_workers=int(os.environ["WORKERS"]), threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )

    def run(batch: str, items: list[str], chunk: int) -> None:
        # Calls have effects: none may be taken for another of the same argument.
        work = (call_model, items) if chunk == 1 else (call_each, cut(items, chunk))
        parts = client.map(*work, pure=False)
        client.submit(write_summary, batch, parts, pure=False).result()

    drive(run)


if __name__ == "__main__":
    main()
