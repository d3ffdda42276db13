"""Outages of the platform cost seconds: its queue is restarted."""

from collections import Counter
from pathlib import Path

import pytest

from tests.rigs.openfaas.cluster import cluster
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_restart_of_the_queue_costs_seconds_and_no_call(tmp_path: Path) -> None:
    """The default timeouts: by silence alone, each loss would be found after two minutes."""
    rows = [f"slow 0.05 {number}" for number in range(150)]
    async with cluster(tmp_path, workers=4) as running:
        batch = (await running.submit_rows(rows, window="64"))["batch_id"]

        async def in_the_middle() -> bool:
            return bool((await running.status(batch))["succeeded"] > 40)

        await wait_until(in_the_middle)
        running.stack.gateway.restart_nats(away=1.0)
        status = await running.ended(batch)
        assert (status["state"], status["succeeded"]) == ("done", 150)
        # By Redis' clock, from the first release to the last answer.
        assert status["completed"] - status["started"] < 100
        assert [entry["url"] for entry in (await running.summary(batch))["results"]["results"]] == rows
        calls = Counter(item for _, item, _ in running.calls())
        assert sum(calls.values()) - len(calls) <= 20
