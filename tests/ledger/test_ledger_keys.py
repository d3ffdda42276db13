"""The table of keys in Redis against the scripts and the other commands."""

import re
from pathlib import Path

import pytest

import pipeline
from pipeline.ledger.keys import BATCH_KEYS, FUNCTION_KEYS, Key

LEDGER = Path(pipeline.__file__).parent / "ledger"
LUA = "".join(path.read_text() for path in (LEDGER / "lua").glob("*.lua"))
COMMANDS = {
    "hash": r"H[A-Z]+",
    "zset": r"Z[A-Z]+",
    "list": r"[LR](PUSH|RANGE|LEN|TRIM)",
    "string": r"[GS]ET(BIT|RANGE)?|BIT[A-Z]+|DECR",
}


@pytest.mark.parametrize("key", BATCH_KEYS, ids=lambda key: key.name or "ledger")
def test_scripts_use_a_key_of_a_batch_as_its_type_allows(key: Key) -> None:
    commands = set(re.findall(rf"call\('(\w+)', {key.name.upper() or 'LEDGER'}\b", LUA)) - {"DEL"}
    assert commands
    assert [name for name in commands if not re.fullmatch(COMMANDS[key.type], name)] == []


def test_keys_of_the_function_are_those_of_the_index_and_the_probes() -> None:
    text = "".join((LEDGER / f"{name}.py").read_text() for name in ("index", "probe"))
    used = re.findall(r'f"\{(?:self\._)?prefix\}:(.+?)"', text)
    assert sorted(name.replace("{{{probe}}}:{step}", "{<probe>}:<step>") for name in used) == sorted(
        key.name for key in FUNCTION_KEYS
    )
