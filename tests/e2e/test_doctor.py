"""doctor on a whole platform: all is well, until something is not."""

import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import redis_server
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack
from tests.rigs.images import function, image_environment

pytestmark = pytest.mark.asyncio(loop_scope="session")
TOKEN = "a-token-of-the-tests"
QUEUE = "queue: there and back"
TIMEOUTS = {"exec_timeout", "read_timeout", "write_timeout", "task_timeout", "ack_wait"}
# No request is sent here to a replica that is asked to stop.
AT_ONCE = {"healthcheck_interval": "0s"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sound(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A platform as in pipeline/docs/deploy.md: a Redis with persistence, a token, timeouts as in stack.yml."""
    log = tmp_path_factory.mktemp("doctor") / "calls.ndjson"
    model = FunctionSpec("echo", (sys.executable, "-m", "tests.rigs.openfaas.model_function"), {"MODEL_LOG": str(log)})
    timeouts = {name: value for name, value in function("pipeline")["environment"].items() if name in TIMEOUTS}
    async with contextlib.AsyncExitStack() as cleanup:
        redis = await cleanup.enter_async_context(redis_server(appendonly=True))
        stack = await cleanup.enter_async_context(local_stack([model], redis=redis, pipeline_replicas=0))
        (stack.secrets_dir / "pipeline-token").write_text(TOKEN)
        await stack.add_pipeline(1, {"mode": image_environment()["mode"], **timeouts, **AT_ONCE})
        yield stack


async def examined(stack: LocalStack) -> dict[str, dict[str, Any]]:
    url = f"{stack.gateway_url}/function/pipeline"
    headers = {"X-Mode": "doctor", "Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as http, http.post(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        return {check["name"]: check for check in (await response.json())["checks"]}


async def test_healthy_installation_passes_every_check(sound: LocalStack) -> None:
    checks = await examined(sound)
    # Durations depend on the machine.
    slow = {"redis: round trip", "s3: round trip", "gateway: reached"}
    assert [check for name, check in checks.items() if check["status"] != "ok" and name not in slow] == []
    assert checks[QUEUE]["found"].startswith("a message came home in ")
    assert checks["model function: deployed"]["found"] == "the gateway answers 200 for 'echo'"
    assert checks["timeouts: a task"]["found"] == "task_timeout 50 s, exec_timeout 55 s"
    assert checks["redis: persistence"]["found"] == "appendonly"
    assert TOKEN not in str(checks)
    async with s3_client(sound.s3) as s3:
        answer = await s3.list_objects_v2(Bucket=sound.s3.bucket, Prefix="doctor/")
    assert answer["KeyCount"] == 0


async def test_doctor_needs_a_token(sound: LocalStack) -> None:
    url = f"{sound.gateway_url}/function/pipeline"
    async with aiohttp.ClientSession() as http, http.post(url, headers={"X-Mode": "doctor"}) as response:
        assert response.status == 401


async def test_queue_that_is_down_fails(sound: LocalStack) -> None:
    sound.gateway.queue_down = True
    check = (await examined(sound))[QUEUE]
    sound.gateway.queue_down = False
    assert (check["status"], check["found"]) == ("failed", "the gateway refused a message with 500")


async def test_unreachable_gateway_is_reported_by_the_callback(sound: LocalStack) -> None:
    sound.gateway.cut_off = True
    check = (await examined(sound))[QUEUE]
    sound.gateway.cut_off = False
    assert (check["status"], check["found"]) == (
        *("failed", "the callback came, and says that the call was answered 503"),
    )


async def test_missing_secret_fails(sound: LocalStack) -> None:
    path = sound.secrets_dir / "s3-secret"
    secret = path.read_text()
    path.unlink()
    check = (await examined(sound))["secret: s3-secret"]
    path.write_text(secret)
    assert check["status"] == "failed"
    assert secret not in str(check)
