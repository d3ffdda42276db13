"""OpenFaaS on a laptop: services, gateway, queue-workers and functions, in one `async with`."""

import base64
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from pipeline.local.errors import LocalError
from pipeline.local.openfaas.functions import Function, FunctionSpec
from pipeline.local.openfaas.gateway import LocalGateway
from pipeline.local.openfaas.go_client import client_session
from pipeline.local.openfaas.nats_streaming import MAX_MESSAGES
from pipeline.local.openfaas.pro_worker import ProWorker
from pipeline.local.services.child_processes import Children, child_processes
from pipeline.local.services.redis_and_s3 import RedisServer, S3Server, redis_server, s3_server
from pipeline.local.services.s3_client import S3Info
from pipeline.settings.secrets import PREFIX

PIPELINE = "pipeline"
# As in the image: polars' allocator returns memory to the system at once.
ALLOCATOR = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}


class LocalStack:
    """A running stack, made by `local_stack`; `redis_url` has no password in it."""

    def __init__(self, children: Children, gateway: LocalGateway, redis: RedisServer, s3: S3Server) -> None:
        self.gateway = gateway
        self.redis_service = redis
        self.s3_service = s3
        self.directory = children.directory
        self.secrets_dir = _write_secrets(children.directory / "secrets", redis, s3.info)
        self._children = children
        self._session = client_session()
        self._functions: dict[str, Function] = {}

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return self.gateway.url

    @property
    def redis_url(self) -> str:
        """URL of Redis, without the password."""
        return self.redis_service.url

    @property
    def redis_password(self) -> str:
        """Password of Redis, empty if the user's own Redis has none."""
        return self.redis_service.password

    @property
    def s3(self) -> S3Info:
        """Endpoint, bucket and keys of S3."""
        return self.s3_service.info

    def pipeline_environment(self) -> dict[str, str]:
        """Return the settings with which the pipeline function, or another program, uses this stack."""
        models = [name for name in self._functions if name != PIPELINE]
        return {
            "gateway_url": self.gateway_url,
            "redis_url": self.redis_url,
            "s3_endpoint": self.s3.endpoint,
            "s3_bucket": self.s3.bucket,
            "s3_region": self.s3.region,
            "s3_addressing": "path",
            "secret_mount_path": str(self.secrets_dir),
            **({"model_function": models[0]} if models else {}),
        }

    async def add_function(self, spec: FunctionSpec) -> Function:
        """Start a function, and connect it to the gateway once all its replicas answer.

        Raises FunctionStartError if a replica does not start, LocalError if the name is taken.
        """
        if spec.name in self._functions:
            raise LocalError(f"function {spec.name} already runs")
        function = Function(spec, self._children, self._session)
        self._functions[spec.name] = function
        try:
            await function.start()
        except BaseException:
            del self._functions[spec.name]
            raise
        self.gateway.add(function)
        return function

    async def add_pipeline(
        self, replicas: int, environment: Mapping[str, str], *, module: str = "pipeline"
    ) -> Function:
        """Start the pipeline function with this stack's settings, overridden by `environment`.

        `module` is run with `python -m`: a test's module may patch something and then run the pipeline.
        """
        # The package may be neither installed nor in the current directory.
        python_path = {"PYTHONPATH": str(Path(__file__).parents[2])}
        # The local gateway sends no requests to a replica that is stopping.
        settings = {**self.pipeline_environment(), **python_path, **ALLOCATOR, "drain_delay": "0", **environment}
        command = (sys.executable, "-m", module)
        return await self.add_function(FunctionSpec(PIPELINE, command, settings, replicas=replicas))

    def pids(self, name: str) -> list[int]:
        """Return the process ids of a function's live replicas, in order."""
        return self._function(name).pids()

    def restarts(self, name: str) -> int:
        """Return how often replicas of a function were restarted after they had died."""
        return self._function(name).restarts

    async def kill_replica(self, name: str, index: int = 0) -> None:
        """Kill one replica (SIGKILL); it is restarted automatically."""
        self._function(name).replicas[index].kill()

    async def close(self) -> None:
        """Stop all functions."""
        for function in self._functions.values():
            await function.stop()
        await self._session.close()

    def _function(self, name: str) -> Function:
        try:
            return self._functions[name]
        except KeyError:
            raise LocalError(f"no function {name} here; there are: {', '.join(self._functions) or 'none'}") from None


@contextlib.asynccontextmanager
async def local_stack(  # noqa: PLR0913 - each has a default and is given by name
    functions: Sequence[FunctionSpec] = (),
    *,
    workers: int = 4,
    ack_wait: float = 60.0,
    upstream_timeout: float = 60.0,
    scale_from_zero: bool = True,
    max_messages: int = MAX_MESSAGES,
    pro: ProWorker | None = None,
    port: int = 0,
    pipeline_replicas: int = 1,
    pipeline_environment: Mapping[str, str] | None = None,
    redis: RedisServer | None = None,
    s3: S3Server | None = None,
) -> AsyncIterator[LocalStack]:
    """Start services, then the gateway on 127.0.0.1:`port` (0: a free one), then functions; stop all of them at exit.

    `LocalGateway` explains its settings, from `workers` to `pro`. The pipeline function starts last, with
    `pipeline_replicas` replicas (0: none) and `pipeline_environment` over the stack's settings. `redis` and `s3` are
    services that already run; the stack leaves them running. Raises the errors of `pipeline.local.errors`.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        children = cleanup.enter_context(child_processes())
        redis_service = await cleanup.enter_async_context(
            redis_server(children=children) if redis is None else contextlib.nullcontext(redis)
        )
        s3_service = await cleanup.enter_async_context(
            s3_server(children=children) if s3 is None else contextlib.nullcontext(s3)
        )
        gateway = LocalGateway(
            workers=workers,
            ack_wait=ack_wait,
            upstream_timeout=upstream_timeout,
            scale_from_zero=scale_from_zero,
            max_messages=max_messages,
            pro=pro,
            port=port,
        )
        stack = LocalStack(children, gateway, redis_service, s3_service)
        cleanup.push_async_callback(stack.close)
        # The gateway closes before the functions stop, so that no call reaches a stopping function.
        await cleanup.enter_async_context(gateway)
        for spec in functions:
            await stack.add_function(spec)
        if pipeline_replicas:
            await stack.add_pipeline(pipeline_replicas, pipeline_environment or {})
        yield stack


def _write_secrets(folder: Path, redis: RedisServer, s3: S3Info) -> Path:
    """Write the secrets as Kubernetes mounts them: one file each."""
    folder.mkdir(mode=0o700)
    values = {
        "s3-key": s3.access_key,
        "s3-secret": s3.secret_key,
        "redis-password": redis.password,
        "pipeline-key": secrets.token_hex(32),
        "webhook-key": PREFIX + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    for name, value in values.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(value)
    return folder
