"""The page `architecture` says what the code has: rooms, states, keys, fields, the path of one item."""

import configparser
import re
from collections.abc import Iterable

from pipeline.ledger.fields import FIELDS
from pipeline.ledger.keys import BATCH_KEYS, FUNCTION_KEYS
from pipeline.ledger.states import CHANGES, NONE, STATES
from pipeline.store.keys import KEYS
from tests.rigs.images import HANDLER, OUTSIDE, ROOT

PAGE = (HANDLER / "docs" / "architecture.md").read_text()
MOST_FILES_OF_ONE_ITEM = 45
NO_LEDGER = "(none)"


def section(heading: str) -> str:
    """Return the text under a heading of the second level."""
    _, _, after = PAGE.partition(f"\n## {heading}\n")
    assert after, f"no heading {heading!r}"
    return after.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table in a text, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {place - 1 for place, line in enumerate(lines) if set(line) <= set("|-: ")}
    body = [line for place, line in enumerate(lines) if place not in heads and place - 1 not in heads]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def marked(text: str) -> str:
    """Return a text with its placeholders as code, since Markdown takes `<task>` for HTML."""
    return re.sub(r"(\S*<\w+>)", r"`\1`", " ".join(text.split()))


def shown(states: Iterable[str]) -> str:
    return "any state" if set(states) == STATES else ", ".join(sorted(state or NO_LEDGER for state in states))


def rooms() -> dict[str, list[str]]:
    """Return the rooms of each layer, as the page names them, from the top."""
    layers: dict[str, list[str]] = {}
    for layer, names, _ in rows(section("Rooms")):
        layers.setdefault(layer, []).extend(names_in(names))
    return layers


def test_layers_of_the_page_are_those_that_are_checked() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"].split("\n")[1:]
    checked = [{name.strip() for name in layer.split(":")} for layer in layers]
    written = [{name.removesuffix("/").removesuffix(".py") for name in names} for names in rooms().values()]
    assert written == checked
    assert list(rooms()) == [str(number) for number in range(len(layers), 0, -1)]


def test_every_room_has_its_row() -> None:
    there = {path.name for path in HANDLER.iterdir() if path.is_dir() and list(path.glob("*.py"))} - OUTSIDE
    there |= {path.name for path in HANDLER.glob("*.py")} - {"__init__.py"}
    assert {name.removesuffix("/") for names in rooms().values() for name in names} == there


def test_changes_of_state_are_those_of_the_scripts() -> None:
    wanted = [[shown(c.before), c.after or NO_LEDGER, f"`{c.script}`", c.when] for c in CHANGES]
    assert rows(section("States")) == wanted


def test_drawing_of_the_states_has_every_change() -> None:
    drawn = set(re.findall(r"^ +(\S+) --> ([^\s:]+)", section("States"), re.MULTILINE))
    named = {NONE: "[*]"}
    wanted = {
        (named.get(before, before), named.get(change.after, change.after))
        for change in CHANGES
        for before in change.before
        if change.script not in {"disown", "expiry"}
    }
    assert drawn == wanted


def test_one_item_crosses_few_files_and_all_of_them_are_there() -> None:
    files = [name for row in rows(section("The path of one item")) for name in names_in(row[1])]
    assert files
    assert len(files) == len(set(files)) <= MOST_FILES_OF_ONE_ITEM
    assert [name for name in files if not (HANDLER / name).is_file()] == []


def test_keys_of_the_bucket_are_those_of_the_store() -> None:
    wanted = [
        [f"`{key.pattern}`", " ".join(key.holds.split()).rstrip("."), ", ".join(f"`{room}/`" for room in key.writers)]
        for key in KEYS
    ]
    assert rows(section("Keys in the bucket")) == wanted


def test_keys_and_fields_of_redis_are_those_of_the_ledger() -> None:
    names = {key.name: "pipeline:{<batch>}" + (f":{key.name}" if key.name else "") for key in BATCH_KEYS}
    names |= {key.name: f"pipeline:{key.name}" for key in FUNCTION_KEYS}
    keys = [[f"`{names[key.name]}`", key.type, marked(key.holds)] for key in (*BATCH_KEYS, *FUNCTION_KEYS)]
    fields = [[f"`{field.name}`", field.type, marked(field.meaning)] for field in FIELDS]
    assert rows(section("Keys and fields in Redis")) == keys + fields
