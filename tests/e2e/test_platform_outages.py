"""Outages of the platform cost seconds and no item: of its queue, of its provider, and of the model function."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger.states import ENDED
from tests.rigs.openfaas.cluster import Cluster, cluster
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

Outage = Callable[[Cluster], Callable[[], None]]


async def run_through(running: Cluster, outage: Outage, seconds: float, **options: str) -> None:
    """Run a batch with an outage in its middle: every row succeeds, and few calls are repeated."""
    rows = [f"slow 0.05 {number}" for number in range(150)]
    batch = (await running.submit_rows(rows, window="64", **options))["batch_id"]

    async def in_the_middle() -> bool:
        return bool((await running.status(batch))["succeeded"] > 40)

    await wait_until(in_the_middle)
    end = outage(running)
    asyncio.get_running_loop().call_later(seconds, end)

    async def final() -> dict[str, Any]:
        async with running.http.get(running.url, params={"batch": batch}) as response:
            status: dict[str, Any] = await response.json() if response.status == 200 else {"state": "unknown"}
        return status if status["state"] in ENDED else {}

    status = await wait_until(final)
    assert (status["state"], status["succeeded"]) == ("done", 150)
    assert [entry["url"] for entry in (await running.summary(batch))["results"]["results"]] == rows
    calls = Counter(item for _, item, _ in running.calls())
    # By silence alone, with the default timeouts, the first loss would be found after two minutes.
    assert status["completed"] - status["started"] < 100
    assert sum(calls.values()) - len(calls) <= 40


def restart_queue(running: Cluster) -> Callable[[], None]:
    running.stack.gateway.restart_nats(away=0.5)
    return lambda: None


def fail_provider(running: Cluster) -> Callable[[], None]:
    provider = running.stack.gateway.provider
    provider.state = "failing"

    def end() -> None:
        provider.state = "up"

    return end


def redeploy_model(running: Cluster) -> Callable[[], None]:
    removed = running.stack.gateway.remove("echo")
    return lambda: running.stack.gateway.add(removed)


MODES: dict[str, dict[str, str]] = {"items": {}, "chunks": {"chunk": "10"}, "direct": {"direct": "true"}}
OUTAGES = (restart_queue, fail_provider, redeploy_model)


@pytest.mark.parametrize(
    ("outage", "options"),
    [
        # One of each outage and of each mode at every run, the others among the attacks.
        pytest.param(
            *(outage, options),
            id=f"{outage.__name__}-{mode}",
            marks=[] if place == other else pytest.mark.attack,
        )
        for place, outage in enumerate(OUTAGES)
        for other, (mode, options) in enumerate(MODES.items())
    ],
)
async def test_outage_costs_seconds_and_no_item(tmp_path: Path, outage: Outage, options: dict[str, str]) -> None:
    async with cluster(tmp_path, workers=4) as running:
        await run_through(running, outage, 2.0, **options)


async def test_unknown_function_is_refused_at_submission(steady: Cluster) -> None:
    for more in ({}, {"dry_run": "true"}):
        status, answer = await steady.call(
            "batch", body=b"url\na\n", query={"function": "nosuch", **more}, Content_Type="text/csv"
        )
        assert status == 400
        assert answer["error"].startswith("there is no function 'nosuch'")
        assert "server returned non-200 status code (404)" in answer["error"]


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
async def test_redirect_of_a_model_is_no_success(steady: Cluster, options: dict[str, str]) -> None:
    status, summary = await steady.run(["redirect a", "b", "c"], **options)
    assert (status["succeeded"], status["failed"]) == (2, 1)
    (failure,) = summary["failures"]["results"]
    assert failure["statusCode"] == 302
    assert "redirect" in str(failure["result"])
