"""Documents as the function sends them."""

from typing import Any

NOW = 1_790_000_000.0
# Text that must not become part of a page.
MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</script></script><b>"&amp;'
BIDI = "\u202egnp.\u202d \u0000\u001b[31m \u2028"


def brief(batch: str, **fields: Any) -> dict[str, Any]:
    """Return a batch as it is in the list."""
    return {
        "batch_id": batch,
        "state": "running",
        "function": "classify",
        "items": 2000,
        "succeeded": 1180,
        "failed": 12,
        "created": NOW - 120,
        "ended": None,
        "status_url": f"http://gateway/function/pipeline/status?batch={batch}",
        **fields,
    }


def failure(kind: str = "422: the picture cannot be decoded", **example: Any) -> dict[str, Any]:
    """Return a group of failures."""
    shown = {"index": 41, "item": "https://pictures.example/41.jpg", "result": "no picture", "call_id": "c-41"}
    return {
        "kind": kind,
        "status_code": 422,
        "count": 9,
        "retried": 3,
        "at": NOW - 5,
        "example": {**shown, "generation": 0, **example},
    }


def status(batch: str = "monday", **fields: Any) -> dict[str, Any]:
    """Return the status of a running batch, changed by `fields`."""
    counts = [4, 11, 15, 16, 18, 17, 19, 22, 20, 18, 17, 6, 3, 9, 16, 19, 21, 20, 22, 23, 21, 19, 20, 22, 21, 22, 20, 8]
    return {
        "batch_id": batch,
        "state": "running",
        "reason": None,
        "trouble": None,
        "function": "classify",
        "generation": 0,
        "window": 128,
        "rate_limit": None,
        "items": 2000,
        "succeeded": 1180,
        "failed": 12,
        "retried": 3,
        "tasks": 2000,
        "released": 1320,
        "in_flight": 128,
        "settled": 1192,
        "rate": 9.87,
        "eta": 81.9,
        "created": NOW - 124,
        "started": NOW - 120,
        "completed": None,
        "ended": None,
        "elapsed": 120.4,
        "links": {"status": f"http://gateway/function/pipeline/status?batch={batch}", "summary": None},
        "throughput": {"width": 4, "counts": counts},
        "latency": {"tasks": 1192, "p50": 0.21, "p90": 0.42, "p99": 1.19, "max": 2.83},
        "failures": [failure(), failure("404: the picture's host answered 404", item="https://pictures.example/gone")],
        "sql": None,
        **fields,
    }


def notification(**fields: Any) -> dict[str, Any]:
    """Return the notification of a target."""
    return {"target": "next", "kind": "notify", "state": "due", "tries": 0, "status_code": None, "at": None, **fields}


def answer(*rows: list[Any], **fields: Any) -> dict[str, Any]:
    """Return the answer of a query, changed by `fields`."""
    first = [list(row) for row in rows] or [["espresso", 812, True, 0.5], ["tripod", 401, False, None]]
    columns = ["label", "n", "ok", "score"][: len(first[0])]
    return {"rows": len(first), "columns": columns, "first": first, "error": None, **fields}


def ended(batch: str = "monday", state: str = "done", **fields: Any) -> dict[str, Any]:
    """Return the status of an ended batch."""
    counts = {"succeeded": 1988, "failed": 12, "settled": 2000, "in_flight": 0, "released": 2000, "eta": None}
    times = {"completed": NOW, "ended": NOW, "elapsed": 201.5}
    links = {
        "status": "http://gateway/function/pipeline/status",
        "summary": f"s3://bucket/{batch}.json",
        "outputs": f"s3://bucket/{batch}/",
    }
    return status(batch, **{"state": state, **counts, **times, "links": links, **fields})


def outputs(batch: str = "monday", **fields: Any) -> dict[str, Any]:
    """Return links to the outputs of a batch."""
    summary = {"key": f"{batch}.json", "size": 418_233, "url": f"https://s3.example/{batch}.json?X-Amz-Signature=a"}
    others = [
        {"name": name, "key": f"{batch}/{name}", "size": 51_007, "url": f"https://s3.example/{batch}/{name}"}
        for name in ("results.csv", "report.json", "__proto__")
    ]
    return {"batch_id": batch, "expires": NOW + 900, "summary": summary, "outputs": others, **fields}


def parts(batch: str = "monday") -> dict[str, Any]:
    """Return links to all parts."""
    address = "https://s3.example/"
    snapshot = [{"key": f"{batch}/input.parquet", "size": 92_000, "url": f"{address}input"}]
    segments = [
        {"key": f"{batch}/0/segments/{n}.ndjson", "size": 51_000 + n, "url": f"{address}{n}", "generation": 0}
        for n in range(2)
    ]
    return outputs(batch, snapshot=snapshot, column="url", segments=segments)
