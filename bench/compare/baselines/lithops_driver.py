"""Lithops on localhost: `WORKERS` processes at once, intermediate objects in its local storage."""

from __future__ import annotations

import os
import sys

import lithops

from bench.compare.baselines.calls import Entry, call_each, cut, write_summary
from bench.compare.baselines.driver import drive


def main() -> None:
    """Open the executor, then serve."""
    compute = {
        # Of the two, this one forks a process a call; the other starts an interpreter, which takes ten times as long.
        "version": 1,
        "runtime": sys.executable,
        "worker_processes": int(os.environ["WORKERS"]),
    }
    config = {"lithops": {"backend": "localhost", "storage": "localhost"}, "localhost": compute}
    executor = lithops.FunctionExecutor(config=config)

    def run(batch: str, items: list[str], chunk: int) -> None:
        def collect(chunks: list[list[Entry]]) -> None:
            write_summary(batch, chunks)

        calls = [{"items": part} for part in cut(items, chunk)]
        executor.get_result(executor.map_reduce(call_each, calls, collect))
        executor.clean()

    drive(run)


if __name__ == "__main__":
    main()
