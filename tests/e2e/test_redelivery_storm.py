"""An `ack_wait` shorter than the tasks: messages are delivered again and again, and pile up in the queue's clients."""

from collections import Counter
from pathlib import Path

import pytest

from tests.rigs.openfaas.cluster import cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("chunk", [1, 5])
async def test_each_item_is_called_once_however_often_its_message_comes(tmp_path: Path, chunk: int) -> None:
    rows = [f"slow 1 {number}" for number in range(12)]
    async with cluster(tmp_path, workers=4, redelivery=0.3) as running:
        status, summary = await running.run(rows, chunk=str(chunk))
        deliveries = sum(
            record.path.startswith("/function/pipeline/collect") for record in running.stack.gateway.callback_log
        )
        assert (status["state"], status["succeeded"], status["generation"]) == ("done", 12, 0)
        assert [entry["url"] for entry in summary["results"]["results"]] == rows
        assert deliveries > status["tasks"]
        assert Counter(item for _, item, _ in running.calls()) == Counter(rows)


async def test_direct_batch_ends_with_right_counts(tmp_path: Path) -> None:
    """Each delivery is a call, and nobody can stop it."""
    rows = [f"slow 0.5 {number}" for number in range(4)]
    async with cluster(tmp_path, workers=4, redelivery=0.2) as running:
        status, summary = await running.run(rows, direct="true")
        assert (status["state"], status["succeeded"]) == ("done", 4)
        assert [entry["url"] for entry in summary["results"]["results"]] == rows
