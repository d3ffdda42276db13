"""Fan-out and fan-in as the well-known example has it: three functions, a counter in Redis, an object in S3 a result.

`python -m bench.compare.baselines.original fan-out` (or `worker`, `collector`) serves one of them on 127.0.0.1:$PORT.
`GATEWAY_URL`, `REDIS_URL` and what `calls` needs are in the environment.
"""

import json
import os
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http import HTTPStatus

import pandas as pd
import redis
from flask import Response, request

from bench.compare.baselines.calls import TIMEOUT, Entry, bucket, call_model, s3, serve_posts, session, write_summary

# More than the queue-workers that call at once.
THREADS = 16
READERS = 10


@cache
def counters() -> redis.Redis:
    """Return the process' Redis client, which threads may share."""
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def fan_out() -> Response:
    """Read the CSV that the body names, set the counter, and queue a message a row."""
    batch = request.headers.get("X-Batch-Id") or str(uuid.uuid4())
    rows = pd.read_csv(s3().get_object(Bucket=bucket(), Key=request.get_data(as_text=True))["Body"])
    counters().set(batch, len(rows))
    for item in rows["item"]:
        url = f"{os.environ['GATEWAY_URL']}/async-function/worker"
        session().post(url, data=item.encode(), headers={"X-Batch-Id": batch}, timeout=TIMEOUT).raise_for_status()
    answer = json.dumps({"batch_id": batch, "batch_size": len(rows)})
    return Response(answer, HTTPStatus.CREATED, mimetype="application/json")


def worker() -> Response:
    """Call the model function, store its answer and count down; at zero call the collector."""
    batch = request.headers["X-Batch-Id"]
    entry = call_model(request.get_data(as_text=True))
    s3().put_object(Bucket=bucket(), Key=f"{batch}/{entry['callId']}.json", Body=json.dumps(entry).encode())
    if counters().decr(batch) == 0:
        url = f"{os.environ['GATEWAY_URL']}/async-function/collector"
        session().post(url, headers={"X-Batch-Id": batch}, timeout=TIMEOUT).raise_for_status()
        counters().delete(batch)
    return Response("Success running model")


def collector() -> Response:
    """Read all results of a batch and write the summary."""
    batch = request.headers["X-Batch-Id"]
    pages = s3().get_paginator("list_objects_v2").paginate(Bucket=bucket(), Prefix=f"{batch}/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    with ThreadPoolExecutor(READERS) as readers:
        entries = list(readers.map(_read, keys))
    write_summary(batch, entries)
    return Response(f"Processed batch {batch}")


def _read(key: str) -> Entry:
    entry: Entry = json.loads(s3().get_object(Bucket=bucket(), Key=key)["Body"].read())
    return entry


if __name__ == "__main__":
    s3()
    serve_posts({"fan-out": fan_out, "worker": worker, "collector": collector}[sys.argv[1]], THREADS)
