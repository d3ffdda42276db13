"""Clusters shared by all tests of a session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pipeline.local.openfaas.message_queue import once
from tests.rigs.openfaas.cluster import SHORT_SILENCE, Cluster, cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def steady_session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One replica on a platform that loses nothing, 16 queue-workers."""
    async with cluster(tmp_path_factory.mktemp("steady")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def steady(steady_session: Cluster) -> AsyncIterator[Cluster]:
    """The same, its faults taken out after each test."""
    yield steady_session
    take_out_faults(steady_session)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shaky_session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Two replicas that count a message as lost after seconds."""
    folder = tmp_path_factory.mktemp("shaky")
    async with cluster(folder, workers=8, redelivery=1.0, replicas=2, **SHORT_SILENCE) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shaky(shaky_session: Cluster) -> AsyncIterator[Cluster]:
    """The same, its faults taken out after each test."""
    await shaky_session.replicas_live()
    yield shaky_session
    take_out_faults(shaky_session)


def take_out_faults(running: Cluster) -> None:
    """Deliver each message and callback once again."""
    running.stack.gateway.callbacks_hook = once
    running.stack.gateway.messages_hook = once
