"""Cancelling, signatures, tokens, and a replica that is asked to stop."""

import os
import signal

import pytest

from tests.rigs.openfaas.cluster import TOKEN, Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEXT = "the-next-token-of-the-tests"


async def test_cancelled_batch_keeps_its_results_and_lists_unrun_items(steady: Cluster) -> None:
    rows = [f"slow 0.1 {number}" for number in range(500)]
    opened = await steady.submit_rows(rows)
    batch = opened["batch_id"]

    async def some_are_done() -> bool:
        return bool((await steady.status(batch))["succeeded"] > 30)

    await wait_until(some_are_done)
    status, _ = await steady.call("cancel", query={"batch": batch})
    assert status == 202
    final = await steady.ended(batch)
    assert (final["state"], final["reason"]) == ("cancelled", "cancelled on request")
    assert final["succeeded"] < 500
    summary = await steady.summary(batch)
    failures, results = summary["failures"]["results"], summary["results"]["results"]
    assert len(results) == final["succeeded"]
    assert sorted(entry["url"] for entry in [*failures, *results]) == sorted(rows)
    assert {entry["result"] for entry in failures} == {"not run: cancelled on request"}
    again, _ = await steady.call("cancel", query={"batch": batch})
    assert again == 202
    # An item whose call had not begun at the cancel was never called.
    called = {item for _, item, _ in steady.calls()}
    assert all(entry["url"] not in called for entry in failures)


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ({}, 400, "name the batch: ?batch=ID or the header X-Batch-Id"),
        ({"batch": "nosuch"}, 404, "there is no batch 'nosuch'"),
        ({"batch": "no/such"}, 400, "X-Batch-Id 'no/such' is not a batch id"),
    ],
)
async def test_cancel_needs_an_existing_batch(steady: Cluster, query: dict[str, str], status: int, error: str) -> None:
    answered, answer = await steady.call("cancel", query=query)
    assert answered == status
    assert answer["error"].startswith(error)


async def test_ended_batch_cannot_be_cancelled(steady: Cluster) -> None:
    status, _ = await steady.run(urls(1))
    answered, answer = await steady.call("cancel", query={"batch": status["batch_id"]})
    assert answered == 409
    assert answer["error"] == f"batch {status['batch_id']!r} cannot be cancelled: it is done"


@pytest.mark.parametrize("mode", ["task", "reduce", "open", "collect"])
async def test_request_without_a_signature_is_refused(steady: Cluster, mode: str) -> None:
    status, answer = await steady.call(mode, body=b"{}")
    assert status == 403
    assert answer["error"].startswith("a signed URL was expected")


async def test_wrong_replayed_and_repurposed_signatures_do_nothing(steady: Cluster) -> None:
    opened = await steady.submit_rows([f"slow 0.3 {number}" for number in range(60)])
    batch = opened["batch_id"]
    message = next(m for m in steady.stack.gateway.messages() if batch in m.path)
    invocation = message.path.removeprefix("/").removeprefix("?")
    callback = str(message.callback_url)
    target = f"{steady.url}?{invocation}"
    forged = [
        (target.replace("task=", "task=1"), "task"),
        (target.replace(f"batch={batch}", "batch=other"), "task"),
        (target.replace("function=echo", "function=pipeline"), "task"),
        (target.replace("attempt=0", "attempt=1"), "task"),
        (target, "reduce"),
        (target, "open"),
        (f"{steady.url}/collect?{invocation}", "task"),
        (callback.replace("/collect?", "?"), "task"),
        (callback.replace("sig=", "sig=0"), "collect"),
        (callback.replace("key=", "key=0"), "collect"),
    ]
    for url, mode in forged:
        async with steady.http.post(url, headers={"X-Mode": mode}) as response:
            assert response.status == 403, url
    # The true callback URL with a made-up answer counts as a lost answer, never as a result.
    fake = b'{"succeeded":1,"failed":0,"notFound":0,"first":0,"last":0}\n{"index":0}'
    async with steady.http.post(callback, data=fake, headers={"X-Pipeline-Signature": "00000000.00"}) as response:
        assert (await response.json())["verdict"] == "retry"
    final = await steady.ended(batch)
    assert (final["state"], final["succeeded"]) == ("done", 60)


async def test_queue_messages_contain_no_secret(steady: Cluster) -> None:
    await steady.submit_rows([f"slow 0.2 {number}" for number in range(40)])
    secrets = [path.read_text() for path in steady.stack.secrets_dir.iterdir()]
    messages = [m for m in steady.stack.gateway.messages() if m.headers.get("X-Mode") == "task"]
    assert messages
    for message in messages:
        text = f"{message.path} {message.headers} {message.body!r} {message.callback_url}"
        assert not [secret for secret in secrets if secret in text]
        assert message.body == b""


async def test_stopped_replica_finishes_its_requests(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with cluster(tmp_path_factory.mktemp("stop"), workers=2, replicas=2) as running:
        opened = await running.submit_rows(["slow 1.5"])
        await wait_until(running.calls)
        replicas = running.stack.gateway.functions["pipeline"].replicas
        busy = next(place for place, replica in enumerate(replicas) if replica.inflight)
        # As Kubernetes does, which takes a pod out of the service before it asks it to stop.
        replicas[busy].ready = False
        os.kill(running.stack.pids("pipeline")[busy], signal.SIGTERM)
        await wait_until(lambda: running.stack.gateway.callback_log)
        assert running.stack.gateway.callback_log[0].function_status == 200
        assert [item for _, item, _ in running.calls()] == ["slow 1.5"]
        final = await running.ended(opened["batch_id"])
        assert (final["state"], final["succeeded"]) == ("done", 1)


async def test_stopped_replica_accepts_requests_until_it_is_out_of_rotation(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with cluster(tmp_path_factory.mktemp("drain"), drain_delay="2") as running:
        log = running.stack.directory / "pipeline-0.log"
        (pid,) = running.stack.pids("pipeline")
        os.kill(pid, signal.SIGTERM)
        await wait_until(lambda: "asked to stop: requests are taken for a while" in log.read_text())
        status, _ = await running.call("cancel", query={"batch": "nosuch"})
        assert status == 404
        await wait_until(lambda: running.stack.restarts("pipeline") == 1)


async def test_token_is_required_after_a_restart_and_never_leaks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with cluster(tmp_path_factory.mktemp("token"), workers=2) as running:
        secret = running.stack.secrets_dir / "pipeline-token"
        secret.write_text(TOKEN)
        assert (await running.call("status"))[0] == 200
        await running.replace_replica()
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
