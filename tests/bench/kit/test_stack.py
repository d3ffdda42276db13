"""When a batch did what."""

import msgspec
import pytest

from bench.kit.errors import BenchError
from bench.kit.stack import Times, times_of
from pipeline.client import Progress

DONE = Progress("done", "b-1", created=1.0, started=2.0, completed=3.0, ended=4.0)


def test_the_times_are_those_of_the_last_status() -> None:
    assert times_of(DONE) == Times(1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("name", ["created", "started", "completed", "ended"])
def test_a_batch_that_has_not_run_cannot_be_measured(name: str) -> None:
    status = msgspec.structs.replace(DONE, state="failed", reason="no such input", **{name: None})
    with pytest.raises(BenchError, match="batch b-1 is failed without having run: no such input"):
        times_of(status)
