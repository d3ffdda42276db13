"""A function with a token: strangers are turned away, batches run, and the token goes nowhere."""

import os
import signal

import pytest

from tests.rigs.openfaas.cluster import Cluster, cluster, urls
from tests.rigs.waiting import wait_until

TOKEN, NEXT = "a-token-of-the-tests", "the-next-token-of-the-tests"


async def restarted(running: Cluster) -> None:
    """Replace the one replica, as a new deployment does."""
    before = running.stack.restarts("pipeline")
    (pid,) = running.stack.pids("pipeline")
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: running.stack.restarts("pipeline") > before)
    await running.replicas_live()


async def test_a_token_is_asked_for_from_the_next_start_on_and_goes_nowhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with cluster(tmp_path_factory.mktemp("token"), workers=2) as running:
        secret = running.stack.secrets_dir / "pipeline-token"
        secret.write_text(TOKEN)
        assert (await running.call("status"))[0] == 200
        await restarted(running)
        for mode in ("batch", "status", "cancel", "sweep"):
            status, document = await running.call(mode, Content_Type="text/csv")
            assert (status, document["error"].split(":")[0]) == (401, "the header Authorization is missing")
        async with running.http.get(running.url) as response:
            assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        async with running.http.post(running.url, headers={"X-Connector": "cron-connector"}) as response:
            assert response.status == 401
        body = ("url\n" + "\n".join(urls(5))).encode()
        bearer = f"Bearer {TOKEN}"
        query = {"function": "echo"}
        status, opened = await running.call(
            "batch", body=body, query=query, Content_Type="text/csv", Authorization=bearer
        )
        assert status == 201

        async def done() -> bool:
            _, document = await running.call("status", query={"batch": opened["batch_id"]}, Authorization=bearer)
            return bool(document["state"] == "done")

        await wait_until(done)
        assert (await running.summary(opened["batch_id"]))["results"]["count"] == 5
        secret.write_text(NEXT)
        assert (await running.call("status", Authorization=f"Bearer {NEXT}"))[0] == 200
        assert (await running.call("status", Authorization=bearer))[0] == 401
        logs = "".join(path.read_text() for path in running.stack.directory.glob("*.log"))
        objects = [await running.get(key) for key in await running.keys(opened["batch_id"])]
        redis = [str(await running.redis.hgetall(key)) async for key in running.redis.scan_iter(_type="hash")]
        assert "pipeline" in logs
        for token in (TOKEN, NEXT):
            assert token not in logs + "".join(redis)
            assert not [content for content in objects if token.encode() in content]
