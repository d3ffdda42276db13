"""Real Redis and real S3 on a laptop: child processes with folders of their own, or the user's by URL.

`PIPELINE_LOCAL_REDIS_URL` takes the user's own Redis; `PIPELINE_LOCAL_S3_ENDPOINT` the user's own S3, with
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `PIPELINE_LOCAL_S3_BUCKET` (a bucket that exists).
"""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from yarl import URL

from pipeline.local.errors import LocalError, ServiceStartError
from pipeline.local.services import readiness
from pipeline.local.services.binaries import redis_binary, s3_binary
from pipeline.local.services.child_processes import Children, child_processes
from pipeline.local.services.daemon import Daemon
from pipeline.local.services.ports import HOST, free_ports
from pipeline.local.services.s3_client import S3Info

REGION = "us-east-1"
BUCKET = "pipeline-local"
_START_TIMEOUT = 120.0
_TRIES = 5
# As Redis and SeaweedFS say it.
_PORT_TAKEN = ("in use", "is not available")
# For each of its ports, weed opens a second one, this much higher.
_WEED_OFFSET = 10_000


@dataclass(frozen=True)
class Service:
    """A running service; `daemon` is None for the user's own service, which is never killed."""

    daemon: Daemon | None

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would."""
        self.own_daemon().kill()

    async def restart(self) -> None:
        """Kill it if it runs, and start it on the same port and folder."""
        self.own_daemon().kill()
        await self.own_daemon().start()

    def own_daemon(self) -> Daemon:
        """Return its process; raises LocalError if the service is the user's."""
        if self.daemon is None:
            raise LocalError("this service is your own: the local stack does not stop or start it")
        return self.daemon


@dataclass(frozen=True)
class RedisServer(Service):
    """A Redis; `url` has no password in it."""

    url: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class S3Server(Service):
    """An S3 service with its bucket; `metrics_url` has its Prometheus metrics, '' for a user's own service."""

    info: S3Info
    metrics_url: str = ""


S = TypeVar("S", bound=Service)


@contextlib.asynccontextmanager
async def redis_server(*, appendonly: bool = False, children: Children | None = None) -> AsyncIterator[RedisServer]:
    """Run a private Redis: on 127.0.0.1, with a random password and a temporary folder.

    Its data is lost when it exits, unless `appendonly`: then it writes every change to disk before it answers, so that
    `kill` and `restart` lose nothing. `children` shares a stack's folder.
    """
    user_url = os.environ.get("PIPELINE_LOCAL_REDIS_URL")
    if user_url:
        url = URL(user_url)
        server = RedisServer(None, str(url.with_password(None)), url.password or "")
        if not await readiness.redis_answers(server.url, server.password):
            raise ServiceStartError(f"PIPELINE_LOCAL_REDIS_URL: no Redis answers at {server.url}")
        yield server
        return
    with _own_or_shared(children) as processes:
        binary = redis_binary()
        server = await _start_on_free_ports(lambda: _make_redis(processes, binary, appendonly=appendonly))
        try:
            yield server
        finally:
            await server.own_daemon().stop()


@contextlib.asynccontextmanager
async def s3_server(*, children: Children | None = None) -> AsyncIterator[S3Server]:
    """Run a private S3 service: on 127.0.0.1, with random keys, a bucket and a temporary folder."""
    user_endpoint = os.environ.get("PIPELINE_LOCAL_S3_ENDPOINT")
    if user_endpoint:
        info = _user_s3(user_endpoint)
        if not await readiness.bucket_exists(info):
            raise ServiceStartError(
                f"PIPELINE_LOCAL_S3_ENDPOINT: no bucket {info.bucket} at {user_endpoint} for these keys; "
                "create it, or name another in PIPELINE_LOCAL_S3_BUCKET"
            )
        yield S3Server(None, info)
        return
    with _own_or_shared(children) as processes:
        binary = s3_binary()
        server = await _start_on_free_ports(lambda: _make_s3(processes, binary))
        try:
            yield server
        finally:
            # Its data is thrown away, and an orderly exit takes weed two seconds.
            server.kill()


def _own_or_shared(shared: Children | None) -> contextlib.AbstractContextManager[Children]:
    return child_processes() if shared is None else contextlib.nullcontext(shared)


async def _start_on_free_ports(make: Callable[[], S]) -> S:
    """Start a service on the ports that `make` picks; try others if one was taken meanwhile."""
    tries = 0
    while True:
        server = make()
        tries += 1
        try:
            await server.own_daemon().start()
        except ServiceStartError as error:
            if tries == _TRIES or not any(text in str(error) for text in _PORT_TAKEN):
                raise
        else:
            return server


def _make_redis(children: Children, binary: str, *, appendonly: bool) -> RedisServer:
    folder = children.directory / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    (port,) = free_ports(1, offset=0)
    password = secrets.token_hex(16)
    # In a file, since every user of the machine can read a command line.
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(
        f"bind {HOST}\nport {port}\nrequirepass {password}\ndir {folder}\nsave ''\n"
        f"appendonly {'yes' if appendonly else 'no'}\nappendfsync always\n"
    )
    url = f"redis://{HOST}:{port}/0"
    ready = partial(readiness.redis_answers, url, password)
    return RedisServer(Daemon(children, (binary, str(settings)), os.environ, ready, _START_TIMEOUT), url, password)


def _make_s3(children: Children, binary: str) -> S3Server:
    folder = children.directory / "s3"
    temporary = children.directory / "s3-tmp"
    for path in (folder, temporary):
        path.mkdir(mode=0o700, exist_ok=True)
    names = ("s3", "master", "volume", "filer", "admin")
    *ports, metrics = free_ports(len(names) + 1, offset=_WEED_OFFSET)
    info = S3Info(f"http://{HOST}:{ports[0]}", REGION, BUCKET, secrets.token_hex(10), secrets.token_hex(20))
    for name, port in zip(names, ports, strict=True):
        # weed has no flag for this path, and does not remove the socket when it exits.
        children.remove_at_end(Path(f"/tmp/seaweedfs-{name}-grpc-{port + _WEED_OFFSET}.sock"))  # noqa: S108
    command = (
        *(binary, "mini", f"-dir={folder}", f"-bucket={BUCKET}", f"-ip={HOST}", f"-ip.bind={HOST}"),
        *(f"-{name}.port={port}" for name, port in zip(names, ports, strict=True)),
        *(f"-{name}.localSocket={temporary / name}.sock" for name in ("s3", "filer")),
        *("-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        f"-metricsPort={metrics}",
    )
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": info.access_key,
        "AWS_SECRET_ACCESS_KEY": info.secret_key,
        "TMPDIR": str(temporary),
    }
    ready = partial(readiness.object_can_be_written, info)
    daemon = Daemon(children, command, environment, ready, _START_TIMEOUT)
    return S3Server(daemon, info, f"http://{HOST}:{metrics}/metrics")


def _user_s3(endpoint: str) -> S3Info:
    keys = [os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if not all(keys):
        raise ServiceStartError(
            "PIPELINE_LOCAL_S3_ENDPOINT needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    region = os.environ.get("AWS_REGION", REGION)
    return S3Info(endpoint.rstrip("/"), region, os.environ.get("PIPELINE_LOCAL_S3_BUCKET", BUCKET), *keys)
