"""The counters of Redis and S3: requests and memory, counted by the servers."""

import re
from collections import Counter

from aiohttp import ClientError, ClientSession
from redis.asyncio import Redis

from bench.kit.errors import BenchError
from pipeline.local.demo.bucket import Bucket

# The commands of a connection, and those of the bench.
NO_WORK = frozenset({"auth", "client", "config", "hello", "info", "ping", "select"})
SCRIPTS = frozenset({"eval", "evalsha"})
STORED = ("input", "segments", "refs", "outputs")
PRICED = {"DELETE": "delete", "GET": "get", "HEAD": "get"}
Counts = dict[str, float]

_REQUESTS = re.compile(r'^SeaweedFS_s3_request_total\{.*type="(?P<type>\w+)".*\} (?P<count>\S+)$', re.MULTILINE)


async def read_counts(redis: Redis, metrics_url: str) -> Counts:
    """Read the counters of both servers, from their start on; raises BenchError where S3 has no metrics.

    `s3_...` by group of price; Redis' memory is in bytes. `redis_reads` counts the reads of Redis from a connection:
    the round trips, however many commands share one.
    """
    memory, calls = await redis.info("memory"), Counter[str]()
    for name, stat in (await redis.info("commandstats")).items():
        calls[name.removeprefix("cmdstat_").split("|")[0]] += stat["calls"]
    return {
        **{f"s3_{kind}": count for kind, count in s3_requests(await _read(metrics_url)).items()},
        "redis_scripts": sum(count for name, count in calls.items() if name in SCRIPTS),
        "redis_commands": sum(count for name, count in calls.items() if name not in NO_WORK | SCRIPTS),
        "redis_reads": (await redis.info("stats"))["total_reads_processed"],
        "redis_used": memory["used_memory"],
        "redis_peak": memory["used_memory_peak"],
    }


def counted(before: Counts, after: Counts) -> Counts:
    """Return the counts between two readings; `redis_peak` is the most memory above that used before."""
    return {name: after[name] - before["redis_used" if name == "redis_peak" else name] for name in after}


def s3_requests(metrics: str) -> Counts:
    """Count the requests in the Prometheus metrics of SeaweedFS, by group of price: `put`, `get`, `delete`."""
    counted: Counter[str] = Counter({"put": 0, "get": 0, "delete": 0})
    for match in _REQUESTS.finditer(metrics):
        counted[PRICED.get(match["type"], "put")] += int(float(match["count"]))
    return dict(counted)


async def stored_bytes(bucket: Bucket, batch: str) -> dict[str, int]:
    """Return the bytes of a batch's objects, each once, by kind: STORED, where `outputs` is the rest."""
    sizes: Counter[str] = Counter(dict.fromkeys(STORED, 0))
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=batch)
    async for page in pages:
        for entry in page.get("Contents", []):
            kind = entry["Key"].removeprefix(f"{batch}/").split("/")[0]
            sizes[kind if kind in STORED else "outputs"] += entry["Size"]
    return dict(sizes)


async def _read(url: str) -> str:
    try:
        async with ClientSession(raise_for_status=True) as session, session.get(url) as answer:
            return await answer.text()
    except (ClientError, TimeoutError, ValueError) as error:
        raise BenchError(f"S3 has no metrics at {url!r}: {error}; it must be the local stack's own") from error
