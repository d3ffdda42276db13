"""A real Redis, a real S3 server and a gateway that is told what to answer; one of each for the whole folder."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from botocore.retries.standard import ExponentialBackoff
from redis.asyncio import Redis

from pipeline.access import Access
from pipeline.concurrency import Background
from pipeline.context import Context, Phases
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.redis_and_s3 import RedisServer, redis_server, s3_server
from pipeline.local.services.s3_client import S3Info
from pipeline.metrics import Metrics
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.sql.runner import Queries
from pipeline.store.batch_records import Specs
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Snapshots
from pipeline.webhooks import Hooks, Webhooks
from tests.integration.bench import Bench
from tests.integration.direct_calls import Direct
from tests.integration.doctors import Doctor
from tests.integration.fake_gateway import FakeGateway, fake_gateway
from tests.integration.pipeline_bench import PipelineBench
from tests.integration.receivers import WEBHOOK_KEY, Receiver, receiver
from tests.integration.s3_proxy import S3Proxy, s3_proxy

FOLDER = Path(__file__).parent
KEY = b"a signing key of the tests"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folder's tests in one loop, the one that its clients belong to."""
    marker = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(marker, append=False)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def server() -> AsyncIterator[RedisServer]:
    async with redis_server() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url, password=server.password) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def s3() -> AsyncIterator[S3Info]:
    async with s3_server() as running:
        yield running.info


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def store(s3: S3Info) -> AsyncIterator[Store]:
    async with Store.connect(*connection(s3)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(s3: S3Info) -> AsyncIterator[S3Proxy]:
    """A proxy before the S3 server that spoils what it is told to."""
    async with s3_proxy(s3.endpoint) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def far(proxy: S3Proxy, s3: S3Info, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """The store behind the proxy; its client waits for nothing before it tries again."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    async with Store.connect(*connection(replace(s3, endpoint=proxy.url))) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def gateway() -> AsyncIterator[FakeGateway]:
    async with fake_gateway() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def every_key_has_a_ttl(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves a key in Redis for ever."""
    yield
    if "redis" in request.fixturenames:
        redis: Redis = request.getfixturevalue("redis")
        eternal = [key async for key in redis.scan_iter(count=1000) if await redis.ttl(key) == -1]
        await redis.flushall()
        assert eternal == []


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def bench(redis: Redis, name: str) -> Bench:
    """One batch in a ledger of its own."""
    return Bench(Ledger(redis, name), redis, name, "batch")


@pytest_asyncio.fixture(loop_scope="session")
async def pipeline(
    redis: Redis, store: Store, gateway: FakeGateway, s3: S3Info, name: str
) -> AsyncIterator[PipelineBench]:
    """The whole function with a fresh memory, around the folder's Redis, S3 and gateway."""
    settings = connection(s3)[0].model_copy(
        update={"gateway_url": gateway.url, "function_name": name, "model_function": f"{name}-model"}
    )
    signer = Signer((KEY,), lambda: (KEY,))
    ledger = Ledger(redis, name)
    metrics = Metrics()
    client = Gateway(gateway.session, gateway.url, name, signer, metrics)
    remembered = (Snapshots(store), Specs(store, name), Phases(ledger))
    webhooks = Webhooks((WEBHOOK_KEY,))
    async with Hooks.connect() as told:
        context = Context(
            *(settings, metrics, Background(), Access(), signer, ledger, store, client, told, webhooks, *remembered),
            queries=Queries(),
            closing=asyncio.Event(),
        )
        yield PipelineBench(context, redis, gateway, name)
    # Other tests deploy functions of the same names.
    gateway.models.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def hooks() -> AsyncIterator[Receiver]:
    """Who is told of an end at a URL."""
    async with receiver() as running:
        yield running


@pytest.fixture
def direct(pipeline: PipelineBench) -> Direct:
    return Direct(pipeline)


@pytest.fixture
def doctor(pipeline: PipelineBench, tmp_path: Path) -> Doctor:
    return Doctor(pipeline, tmp_path)


def connection(info: S3Info) -> tuple[Settings, Secrets]:
    """Return the settings and secrets with which the function reaches this S3."""
    settings = Settings(s3_bucket=info.bucket, s3_endpoint=info.endpoint, s3_region=info.region, s3_addressing="path")
    return settings, Secrets(info.access_key, info.secret_key, None, (KEY,))
