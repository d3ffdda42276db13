"""Direct calls on the queue-worker of OpenFaaS Pro, which repeats calls by itself and calls back once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pipeline.local.openfaas.pro_worker import ProWorker
from tests.rigs.openfaas.cluster import SHORT_SILENCE, Cluster, cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")
# Six calls take longer than SHORT_SILENCE, so that they would be lost without regard to the retries.
WORKER = ProWorker(retry_attempts=9, initial_wait=0.5, max_wait=0.5)
SETTINGS = {**SHORT_SILENCE, "openfaas_pro": "true", "retry_attempts": "9", "retry_wait": "0.5"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pro(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One replica, whose own messages the queue-worker does not repeat."""
    async with cluster(
        tmp_path_factory.mktemp("pro"), {"pro": WORKER}, workers=1, redelivery=60, replicas=1, **SETTINGS
    ) as running:
        yield running


async def test_call_that_the_worker_repeats_is_released_and_settled_once(pro: Cluster) -> None:
    status, summary = await pro.run(["flaky direct", "quick"], direct="true")
    assert (status["state"], status["succeeded"], status["released"], status["retried"]) == ("done", 2, 2, 0)
    assert [entry["url"] for entry in summary["results"]["results"]] == ["flaky direct", "quick"]
    assert [item for _, item, _ in pro.calls()].count("flaky direct") == 6


async def test_call_that_never_succeeds_is_repeated_by_the_worker_alone(pro: Cluster) -> None:
    status, summary = await pro.run(["fail 500 always", "fail 422 never"], direct="true", attempts="3")
    assert (status["state"], status["failed"], status["generation"]) == ("done", 2, 0)
    failures = summary["failures"]["results"]
    assert [(each["statusCode"], each["result"]) for each in failures] == [(500, "as asked"), (422, "as asked")]
    items = [item for _, item, _ in pro.calls()]
    assert (items.count("fail 500 always"), items.count("fail 422 never")) == (10, 1)
