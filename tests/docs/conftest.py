"""The stack that all calls of the pages go to."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.rigs.docs.stage import Stage, stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("docs")) as running:
        yield running
