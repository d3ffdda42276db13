"""The place of a job's tests: a copy of the working tree, and a Redis and an S3 of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import RedisError
from yarl import URL

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.mutants.forks import Ground
from pipeline.local.services.child_processes import child_processes
from pipeline.local.services.redis_and_s3 import RedisServer, S3Server, redis_server, s3_server
from pipeline.local.services.s3_client import s3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from types_aiobotocore_s3 import S3Client

ANSWER = 5.0
_OWN = ("PIPELINE_LOCAL_REDIS_URL", "PIPELINE_LOCAL_S3_ENDPOINT")


@dataclass(frozen=True)
class Job:
    """A ground and its services."""

    ground: Ground
    redis: RedisServer
    s3: S3Client
    bucket: str

    async def clean(self) -> None:
        """Delete the leftovers of the last tests; a Redis that a script blocks for ever is killed."""
        try:
            client = Redis.from_url(self.redis.url, password=self.redis.password, socket_timeout=ANSWER)
            async with client:
                await client.flushall()
        except (RedisError, OSError):
            # With its memory, since it writes nothing to disk.
            await self.redis.restart()
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        async for page in pages:
            for entry in page.get("Contents", []):
                await self.s3.delete_object(Bucket=self.bucket, Key=entry["Key"])


def refuse_own_services(environment: Mapping[str, str]) -> None:
    """Raise BenchError when a Redis or S3 of the user is named: its content would be deleted."""
    for name in _OWN:
        if environment.get(name):
            raise BenchError(f"{name} is set: the services of this run are emptied again and again; unset it")


@contextlib.asynccontextmanager
async def job(tree: Path | None) -> AsyncIterator[Job]:
    """Start the services of a job, with a copy of a tree, or of the working tree; raises BenchError, LocalError.

    Nothing of them is left at the end, even after an error.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        processes = cleanup.enter_context(child_processes())
        ground = Ground(processes.directory)
        if tree:
            shutil.copytree(tree, ground.tree)
        else:
            _copy_working_tree(ground.tree)
        redis = await cleanup.enter_async_context(redis_server(children=processes))
        s3 = await cleanup.enter_async_context(s3_server(children=processes))
        client = await cleanup.enter_async_context(s3_client(s3.info, retries={"mode": "standard", "max_attempts": 8}))
        yield Job(replace(ground, environment=_environment(redis, s3)), redis, client, s3.info.bucket)


def _environment(redis: RedisServer, s3: S3Server) -> dict[str, str]:
    """Return the environment in which the tests use these services and start none."""
    return {
        "PIPELINE_LOCAL_REDIS_URL": str(URL(redis.url).with_password(redis.password)),
        "PIPELINE_LOCAL_S3_ENDPOINT": s3.info.endpoint,
        "PIPELINE_LOCAL_S3_BUCKET": s3.info.bucket,
        "AWS_REGION": s3.info.region,
        "AWS_ACCESS_KEY_ID": s3.info.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.info.secret_key,
    }


def _copy_working_tree(target: Path) -> None:
    """Copy every file that git does not ignore; raises BenchError outside of a clone."""
    command = ("git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{ROOT} is no clone: git lists the files to be copied") from error
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy)
