"""The platforms of a run: a local stack started for it, or an OpenFaaS that runs already."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.kit.processes import Pids
from bench.kit.stack import Site, model_spec, open_site, pids
from bench.speed.parallelism.ways import BARE
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import redis_server, s3_server
from pipeline.local.services.s3_client import S3Info

BARE_FUNCTION = Path(__file__).with_name("bare.py")


@dataclass(frozen=True)
class Platform:
    """A gateway with the pipeline and model functions behind it.

    `functions` are the model functions' names by model time in milliseconds; without a `site` the processes are out of
    sight.
    """

    gateway_url: str
    s3: S3Info
    functions: dict[int, str]
    site: Site | None = None

    def groups(self, model_ms: int, way: str) -> dict[str, Pids]:
        """Return the processes of a run by part; the bare queue uses neither Redis nor S3."""
        if self.site is None:
            return {}
        function, model = BARE if way == BARE else "pipeline", self.functions[model_ms]
        unused = {"redis", "s3"} if way == BARE else set()
        parts = {function: "function", model: "model"}
        groups = pids(self.site.stack, parts).items()
        return {parts.get(name, name): group for name, group in groups if name not in unused}


# Opens a platform of the given parallelism.
Opener = Callable[[int], AbstractAsyncContextManager[Platform]]


@contextlib.asynccontextmanager
async def local(model_times: Sequence[int]) -> AsyncIterator[Opener]:
    """Run Redis and S3, and yield an opener that starts gateway, queue-workers and functions on them, fresh each time.

    The gateway and the queue-workers live in this process. Raises LocalError.
    """
    functions = {ms: f"model-{ms}ms" for ms in model_times}
    specs = [model_spec(name, ms) for ms, name in functions.items()]
    async with redis_server() as redis, s3_server() as s3:

        @contextlib.asynccontextmanager
        async def start(parallelism: int) -> AsyncIterator[Platform]:
            options = {"workers": parallelism, "redis": redis, "s3": s3}
            async with open_site(*specs, **options) as site:
                environment = {"gateway_url": site.stack.gateway_url}
                await site.stack.add_function(
                    FunctionSpec(BARE, (sys.executable, str(BARE_FUNCTION)), environment=environment)
                )
                yield Platform(site.stack.gateway_url, site.stack.s3, functions, site)

        yield start


@contextlib.asynccontextmanager
async def remote(gateway_url: str, s3: S3Info, model_ms: int, function: str) -> AsyncIterator[Opener]:
    """Yield an opener of a deployed OpenFaaS, whose `function` takes `model_ms` a call."""
    platform = Platform(gateway_url, s3, {model_ms: function})
    yield lambda _parallelism: contextlib.nullcontext(platform)
