"""Errors of Redis and S3 are counted, each attempt by its kind."""

import dataclasses

import pytest
from botocore.retries.standard import ExponentialBackoff
from redis.asyncio import Redis

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.ports import HOST, free_port
from pipeline.local.services.redis_and_s3 import RedisServer
from pipeline.local.services.s3_client import S3Info
from pipeline.metrics import Metrics
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingObjectError
from tests.rigs.fixtures.services import connection
from tests.rigs.metric_samples import parse, rises
from tests.rigs.s3.proxy import Fault, S3Proxy, drop, refuse


async def test_errors_of_redis_are_counted_by_their_kind(
    redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.script_flush()
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0)
    for url, password, kind in (
        (f"redis://{HOST}:{free_port()}", None, "ConnectionError"),
        (redis_server.url, "another-password", "wrongpass"),
        (redis_server.url, redis_server.password, ""),
    ):
        metrics = Metrics()
        async with Ledger.connect(url, password, "prefix", metrics) as ledger:
            if kind:
                with pytest.raises(UnavailableError):
                    await ledger.phase("batch")
            else:
                # What Redis has to be taught first, a script, is no error.
                await ledger.phase("batch")
        counts = rises({}, parse(metrics.exposition()))
        assert {n: v for n, v in counts.items() if "redis" in n} == (
            {f"redis_errors_total{{kind={kind}}}": 1} if kind else {}
        )


# aiohttp itself sends once more what a kept connection drops.
S3_FAULTS: dict[str, tuple[list[Fault], str, int]] = {
    "throttled": ([refuse(503, "SlowDown")] * 2, "throttled", 2),
    "throttled by another code": ([refuse(429, "TooManyRequests")], "throttled", 1),
    "dropped": ([drop] * 2, "connection", 1),
    "broken": ([refuse(500, "InternalError")], "other", 1),
    "denied": ([refuse(403, "AccessDenied")], "denied", 1),
    "an old token": ([refuse(400, "ExpiredToken")], "credentials", 1),
}


@pytest.mark.parametrize(("faults", "kind", "count"), S3_FAULTS.values(), ids=S3_FAULTS)
async def test_errors_of_s3_are_counted_by_their_kind(
    proxy: S3Proxy, s3: S3Info, name: str, monkeypatch: pytest.MonkeyPatch, faults: list[Fault], kind: str, count: int
) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    metrics = Metrics()
    settings, secrets = connection(dataclasses.replace(s3, endpoint=proxy.url))
    async with Store.connect(settings, secrets, metrics=metrics) as store:
        await store.put(name, b"object")
        with pytest.raises(MissingObjectError):
            await store.get(f"{name}-no")
        proxy.faults = list(faults)
        if kind in {"denied", "credentials"}:
            with pytest.raises(UnavailableError):
                await store.get(name)
        else:
            assert await store.get(name) == b"object"
    counts = rises({}, parse(metrics.exposition()))
    assert {n: v for n, v in counts.items() if "s3" in n} == {f"s3_errors_total{{kind={kind}}}": count}
