"""The batches to measure, and the operations of S3 with their prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
PUTS = (
    *("PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
    *("CompleteMultipartUpload", "ListObjects", "ListMultipartUploads"),
)
GETS = ("GetObject", "HeadObject")
FREE = ("DeleteObject", "DeleteObjects", "AbortMultipartUpload")
OPERATIONS = (*PUTS, *GETS, *FREE)


@dataclass(frozen=True)
class Case:
    """One batch to run, of the group of cases that it is compared with.

    `result_bytes` is about the size of a result; a tenth of the calls or of the items fails, by `fails`; `workers` are
    the queue-workers at work; the model function takes `model_ms` milliseconds a call.
    """

    group: Literal["size", "window", "result", "attempts", "parallelism"]
    items: int
    chunk: int
    window: int = 128
    result_bytes: int = 100
    attempts: int = 3
    fails: Literal["", "calls", "items"] = ""
    workers: int = 4
    model_ms: int = 0


CASES = (
    *(Case("size", items, chunk) for items in (1_000, 10_000) for chunk in (1, 10, 100)),
    *(Case("size", 100_000, chunk) for chunk in (10, 100)),
    *(Case("window", 10_000, 10, window=window) for window in (32, 128, 512)),
    *(Case("result", 5_000, chunk, result_bytes=1024) for chunk in (1, 10, 100)),
    *(Case("result", 2_000, chunk, result_bytes=10_240) for chunk in (1, 10)),
    *(Case("attempts", 300, 1, attempts=times, fails="calls", workers=16) for times in (1, 2, 3)),
    *(Case("attempts", 300, 1, attempts=times, fails="items", workers=16) for times in (1, 2, 3)),
    # Three times over, since it is the seconds that count here; repeats outermost.
    *(Case("parallelism", 480, 1, window=window, workers=16, model_ms=100) for window in (8, 16, 24, 32, 64, 128) * 3),
)
