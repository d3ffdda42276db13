"""The scripts of the page know the states, outputs and modes of the function."""

import re

from pipeline.handler import MODES
from pipeline.ledger.states import ENDED, STATES
from pipeline.store.keys import CONTENT_TYPES
from tests.rigs.images import HANDLER


def constant(script: str, name: str) -> str:
    """Return the text of a constant of a script."""
    text = (HANDLER / "page" / script).read_text()
    match = re.search(rf"^const {name} = (.*?);$", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"{script} has no constant {name}"
    return match[1]


def keys(script: str, name: str) -> list[str]:
    return re.findall(r"^  (\w+):", constant(script, name), re.MULTILINE)


def strings(script: str, name: str) -> set[str]:
    return set(re.findall(r'"([^"]+)"', constant(script, name)))


def test_every_state_has_its_tone() -> None:
    assert set(keys("text.js", "TONES")) == STATES


def test_ended_states_are_those_of_the_ledger() -> None:
    assert strings("text.js", "ENDED") == ENDED


def test_a_batch_can_be_tuned_in_every_open_state() -> None:
    assert strings("actions.js", "TUNABLE") == STATES - ENDED - {"deleting"}
    assert strings("actions.js", "PAUSABLE") < STATES


def test_every_output_has_its_label() -> None:
    assert re.findall(r'^  \["([^"]+)",', constant("outputs.js", "OUTPUTS"), re.MULTILINE) == list(CONTENT_TYPES)


def test_every_action_is_a_mode() -> None:
    actions = keys("actions.js", "IS_ALLOWED")
    buttons = re.findall(r'data-mode="(\w+)"', (HANDLER / "page" / "index.html").read_text())
    assert sorted(actions) == sorted(buttons)
    assert set(actions) < set(MODES)
