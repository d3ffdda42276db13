"""The scripts avoid what the Redis of the tests accepts and another Redis does not."""

import re
from pathlib import Path

import pytest

import pipeline

SCRIPTS = sorted((Path(pipeline.__file__).parent / "ledger" / "lua").glob("*.lua"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_passes_a_negated_number_to_redis(script: Path) -> None:
    assert re.findall(r"[,(=]\s*-[A-Za-z(]", script.read_text()) == []


def test_scripts_are_found() -> None:
    assert len(SCRIPTS) > 20
