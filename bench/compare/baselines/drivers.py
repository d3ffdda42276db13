"""The client of a peer, kept warm: `python -m bench.compare.baselines.drivers celery` (or `dask`, `lithops`).

It serves on 127.0.0.1:$PORT. `POST /` with `{"batch", "input", "chunk"}` runs one batch: `input` is the key of a CSV,
`chunk` the items a task. What a peer needs is imported where it is started: each process has one.
"""

# ruff: noqa: PLC0415

import os
import subprocess
import sys
from collections.abc import Callable

from flask import Response, request

from bench.compare.baselines.calls import Entry, call_each, call_model, cut, read_items, serve_posts, write_summary

# Takes the batch's id, its items and the chunk.
Run = Callable[[str, list[str], int], None]


def start_celery() -> Run:
    """Start `NODES` workers of `WORKERS` processes in all; a batch is a chord of items, or of Celery's chunks."""
    import redis
    from celery import chord, group

    from bench.compare.baselines.celery_app import app, call_item
    from bench.compare.baselines.celery_app import write_summary as write

    # Messages of an earlier run would be delivered to this one.
    redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
    nodes = int(os.environ["NODES"])
    worker = (sys.executable, "-m", "celery", "-A", "bench.compare.baselines.celery_app", "worker")
    options = ("--loglevel", "WARNING", "--concurrency", str(int(os.environ["WORKERS"]) // nodes))
    for number in range(nodes):
        subprocess.Popen((*worker, *options, "--hostname", f"node{number}@%h"))
    while len(app.control.ping(timeout=1.0)) < nodes:
        pass

    def run(batch: str, items: list[str], chunk: int) -> None:
        single = chunk == 1
        header = group(map(call_item.s, items)) if single else call_item.chunks(zip(items, strict=True), chunk).group()
        chord(header)(write.s(batch))

    return run


def start_dask() -> Run:
    """Start a scheduler in this process and `WORKERS` processes of one thread; a batch is futures."""
    from distributed import Client

    workers = int(os.environ["WORKERS"])
    client = Client(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)

    def run(batch: str, items: list[str], chunk: int) -> None:
        # Calls have effects: none may be taken for another of the same argument.
        work = (call_model, items) if chunk == 1 else (call_each, cut(items, chunk))
        client.submit(write_summary, batch, client.map(*work, pure=False), pure=False).result()

    return run


def start_lithops() -> Run:
    """Open an executor of `WORKERS` processes at once, with intermediate objects in its local storage."""
    import lithops

    # Of the two, version 1 forks a process a call; the other starts an interpreter, which takes ten times as long.
    compute = {"version": 1, "runtime": sys.executable, "worker_processes": int(os.environ["WORKERS"])}
    config = {"lithops": {"backend": "localhost", "storage": "localhost"}, "localhost": compute}
    executor = lithops.FunctionExecutor(config=config)

    def run(batch: str, items: list[str], chunk: int) -> None:
        def collect(chunks: list[list[Entry]]) -> None:
            write_summary(batch, chunks)

        calls = [{"items": part} for part in cut(items, chunk)]
        executor.get_result(executor.map_reduce(call_each, calls, collect))
        executor.clean()

    return run


def main() -> None:
    """Serve the peer that the first argument names; its exceptions are a 500."""
    run = {"celery": start_celery, "dask": start_dask, "lithops": start_lithops}[sys.argv[1]]()

    def start() -> Response:
        body = request.get_json()
        run(body["batch"], read_items(body["input"]), body["chunk"])
        return Response("OK")

    serve_posts(start, threads=4)


if __name__ == "__main__":
    main()
