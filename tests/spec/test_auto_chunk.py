"""`chunk: auto`: about as many tasks as run at once, with at most 100 items and enough time for each."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.settings.environment import read_settings
from pipeline.spec.chunk_size import auto_chunk
from tests.rigs.function.fakes import spec

FIFTY_SECONDS = read_settings({"s3_bucket": "rows", "task_timeout": "50"})


@pytest.mark.parametrize(
    ("items", "fields", "expected"),
    [
        (0, {}, 1),
        (1, {}, 1),
        (128, {}, 1),
        (129, {}, 2),
        (1000, {}, 8),
        (1000, {"timeout": 0.5}, 8),
        (6400, {"timeout": 0.5}, 50),
        (6401, {"timeout": 0.5}, 51),
        (10**7, {"timeout": 0.5}, 100),
        (10**7, {"timeout": 30, "concurrency": 8}, 8),
        (10**7, {"timeout": 25, "concurrency": 8}, 16),
        (10**7, {"timeout": 50, "concurrency": 3}, 3),
        (10**7, {"timeout": 3600, "concurrency": 3}, 3),
        (10**7, {"timeout": 60, "concurrency": 1, "chunk_call": True}, 100),
        (32, {"timeout": 60, "concurrency": 1, "chunk_call": True}, 1),
        (1000, {"timeout": 60, "concurrency": 1, "chunk_call": True}, 32),
        (5000, {"timeout": 60, "concurrency": 1}, 1),
    ],
)
def test_auto_chunk_depends_on_items_and_timeouts(items: int, fields: dict[str, object], expected: int) -> None:
    assert auto_chunk(items, spec(**fields), FIFTY_SECONDS) == expected


@given(
    items=st.integers(0, 10**8),
    timeout=st.floats(0.001, 3600),
    concurrency=st.integers(1, 64),
    task_timeout=st.floats(0.001, 3600),
)
@hypothesis_settings(max_examples=100, deadline=None, database=None)
def test_auto_chunk_fits_into_its_task_for_any_call_duration(
    items: int, timeout: float, concurrency: int, task_timeout: float
) -> None:
    settings = read_settings({"s3_bucket": "rows", "task_timeout": repr(task_timeout)})
    chunk = auto_chunk(items, spec(timeout=timeout, concurrency=concurrency), settings)
    assert 1 <= chunk <= 100
    assert (chunk - 1) * 128 < max(items, 1)
    rounds = -(-chunk // concurrency)
    assert rounds * min(timeout, task_timeout) <= task_timeout
