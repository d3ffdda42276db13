"""A whole local stack."""

import shlex
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from redis.asyncio import Redis

from pipeline.local.errors import FunctionStartError, LocalError
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import RedisServer, S3Server, redis_server, s3_server
from pipeline.local.stack import local_stack
from pipeline.settings.secrets import webhook_key
from tests.rigs.openfaas import environment_function
from tests.rigs.waiting import wait_until

MODEL = FunctionSpec("model", (sys.executable, "-S", environment_function.__file__))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis() -> AsyncIterator[RedisServer]:
    async with redis_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3() -> AsyncIterator[S3Server]:
    async with s3_server() as server:
        yield server


async def test_stack_has_all_settings_of_the_pipeline(redis: RedisServer, s3: S3Server) -> None:
    async with local_stack([MODEL], pipeline_replicas=0, redis=redis, s3=s3) as stack:
        assert stack.pipeline_environment() == {
            "gateway_url": stack.gateway_url,
            "redis_url": redis.url,
            "s3_endpoint": s3.info.endpoint,
            "s3_bucket": s3.info.bucket,
            "s3_region": "us-east-1",
            "s3_addressing": "path",
            "secret_mount_path": str(stack.secrets_dir),
            "model_function": "model",
        }
        assert stat.S_IMODE(stack.secrets_dir.stat().st_mode) == 0o700
        files = {path.name: path for path in stack.secrets_dir.iterdir()}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
        contents = {name: path.read_text() for name, path in files.items()}
        assert len(bytes.fromhex(contents.pop("pipeline-key"))) == 32
        assert len(webhook_key(contents.pop("webhook-key").encode())) == 32
        assert contents == {
            "s3-key": s3.info.access_key,
            "s3-secret": s3.info.secret_key,
            "redis-password": stack.redis_password,
        }
    assert not stack.directory.exists()
    async with Redis.from_url(redis.url, password=redis.password) as client:
        assert await client.ping()


async def test_killed_replica_is_restarted(redis: RedisServer, s3: S3Server) -> None:
    async with local_stack([MODEL], pipeline_replicas=0, redis=redis, s3=s3) as stack, ClientSession() as client:
        before = stack.pids("model")
        await stack.kill_replica("model")
        assert stack.restarts("model") == 0
        await wait_until(lambda: stack.restarts("model") == 1 and stack.pids("model"))
        assert stack.pids("model") != before

        async def answers() -> bool:
            async with client.get(f"{stack.gateway_url}/function/model") as response:
                return response.status == 200

        await wait_until(answers)


async def test_function_can_be_added_once(redis: RedisServer, s3: S3Server) -> None:
    async with local_stack(pipeline_replicas=0, redis=redis, s3=s3) as stack, ClientSession() as client:
        assert "model_function" not in stack.pipeline_environment()
        await stack.add_function(MODEL)
        async with client.get(f"{stack.gateway_url}/function/model") as response:
            assert response.status == 200
        with pytest.raises(LocalError, match="model already runs"):
            await stack.add_function(MODEL)
        with pytest.raises(LocalError, match="no function nosuch here; there are: model"):
            stack.pids("nosuch")


async def test_function_that_does_not_start_ends_the_stack(redis: RedisServer, s3: S3Server) -> None:
    broken = FunctionSpec("broken", ("sh", "-c", "echo sorry; exit 4"))
    with pytest.raises(FunctionStartError, match="function broken exited with code 4 while starting:\nsorry"):
        async with local_stack([MODEL, broken], pipeline_replicas=0, redis=redis, s3=s3):
            pytest.fail("it never listened")


async def test_pipeline_starts_with_the_settings_of_the_stack(
    redis: RedisServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment of `python -m pipeline`, seen by a program in place of Python."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$*" = "-m pipeline" ] && exec {shlex.join(MODEL.command)}\n')
    python.chmod(0o700)
    monkeypatch.setattr("pipeline.local.stack.sys", SimpleNamespace(executable=str(python)))
    async with (
        local_stack(
            [MODEL], pipeline_replicas=2, pipeline_environment={"window": "7", "s3_region": "eu"}, redis=redis, s3=s3
        ) as stack,
        ClientSession() as client,
        client.get(f"{stack.gateway_url}/function/pipeline") as response,
    ):
        environment = (await response.json(content_type=None))["environment"]
        assert len(stack.pids("pipeline")) == 2
        expected = {**stack.pipeline_environment(), "window": "7", "s3_region": "eu"}
        assert {name: environment.get(name) for name in expected} == expected
