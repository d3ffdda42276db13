"""What the scripts may not do, and the Redis of the tests does not notice."""

import re
from pathlib import Path

import pytest

import pipeline

SCRIPTS = sorted((Path(pipeline.__file__).parent / "ledger" / "lua").glob("*.lua"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_negated_number_is_handed_to_redis(script: Path) -> None:
    assert re.findall(r"[,(=]\s*-[A-Za-z(]", script.read_text()) == []


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 20
