"""The parts that every way needs: the items of a CSV in S3, a call of the model function, and the summary in S3.

The environment says where: `MODEL_URL`, `S3_BUCKET`, and what boto3 reads (`AWS_ENDPOINT_URL_S3` and the keys).
"""

import csv
import io
import json
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import requests

TIMEOUT = 30.0
OK = 200
_own = threading.local()

# An item's line in the summary: `item`, `result`, `statusCode`, `callId`.
Entry = dict[str, Any]


@cache
def s3() -> Any:
    """Return the process' client: to make one takes longer than many requests, and threads may share it."""
    # A process of Lithops lives for one call: none is to load what only the summary needs.
    import boto3  # noqa: PLC0415

    return boto3.client("s3")


def bucket() -> str:
    """Return the bucket's name."""
    return os.environ["S3_BUCKET"]


def session() -> requests.Session:
    """Return the thread's HTTP session, which keeps its connections."""
    if not hasattr(_own, "session"):
        _own.session = requests.Session()
    found: requests.Session = _own.session
    return found


def read_items(key: str) -> list[str]:
    """Read the first column of a CSV with a header line."""
    text = s3().get_object(Bucket=bucket(), Key=key)["Body"].read().decode()
    return [row[0] for row in list(csv.reader(io.StringIO(text)))[1:]]


def call_model(item: str) -> Entry:
    """Call the model function for an item; raises an error of `requests` when no answer comes."""
    answer = session().post(os.environ["MODEL_URL"], data=item.encode(), timeout=TIMEOUT)
    result = answer.json() if answer.status_code == OK else answer.text
    return {"item": item, "result": result, "statusCode": answer.status_code, "callId": answer.headers.get("X-Call-Id")}


def call_each(items: Sequence[str]) -> list[Entry]:
    """Call the model function for each item of a chunk, one after the other."""
    return [call_model(item) for item in items]


def write_summary(batch: str, parts: Sequence[Entry | list[Entry]]) -> None:
    """Write all entries, or chunks of entries, as the object `<batch>.json`."""
    entries = [entry for part in parts for entry in (part if isinstance(part, list) else [part])]
    results = [entry for entry in entries if entry["statusCode"] == OK]
    failures = [entry for entry in entries if entry["statusCode"] != OK]
    summary = {
        "batchId": batch,
        "failures": {"count": len(failures), "results": failures},
        "results": {"count": len(results), "results": results},
    }
    s3().put_object(Bucket=bucket(), Key=f"{batch}.json", Body=json.dumps(summary).encode())


def cut(items: Sequence[str], chunk: int) -> list[list[str]]:
    """Cut items into chunks of a size; the last one may be smaller."""
    return [list(items[start : start + chunk]) for start in range(0, len(items), chunk)]


def serve_posts(answer: Callable[[], Any], threads: int) -> None:
    """Serve a view of Flask for `POST /`, and `/_/health`, on 127.0.0.1:$PORT until the process is ended."""
    from flask import Flask, Response  # noqa: PLC0415 - a process of Lithops serves nothing
    from waitress import serve  # noqa: PLC0415

    app = Flask(__name__)
    app.add_url_rule("/", view_func=answer, methods=["POST"])
    app.add_url_rule("/_/health", view_func=lambda: Response("OK"), endpoint="health")
    serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), threads=threads)
