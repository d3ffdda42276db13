"""The rows of a chaos batch: the first word of an item decides how the model function answers.

| item | the model function |
|---|---|
| `good N` | answers |
| `fail S N` | answers with status S, always |
| `flaky K N` | answers 503 to its first K calls |
| `slow T N` | answers after T seconds |
| `die N` | ends its process, always |
| `dies K N` | ends its process in its first K calls |
| `binary N`, `nonsense N` | answers bytes that are no text, text that is no JSON |
| `big K N` | answers K letters |
| `switch N` | answers 400 until the file named by MODEL_SWITCH exists |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

BINARY = b"\xff\xfe\x00"
NONSENSE = '{"half":'
PERMANENT = (400, 410, 422, 500, 503)
# The first call to a `good` item of a batch, so that no batch begins with ten answers of one status.
FLAWED = ("fail", "flaky", "slow", "binary", "nonsense", "big", "dies", "die")


def word(item: str) -> str:
    """Return the first word."""
    return item.partition(" ")[0]


def argument(item: str) -> float:
    """Return the number behind the first word."""
    return float(item.split(" ")[1])


def answer(item: str) -> object:
    """Return the result, as the summary shows it, of a call that succeeds."""
    match word(item):
        case "binary":
            return "//4A"
        case "nonsense":
            return NONSENSE
        case "big":
            return "x" * int(argument(item))
    return {"length": len(item)}


def can_succeed(item: str, timeout: float) -> bool:
    """Return whether some call for this item is answered with 200 within `timeout` seconds."""
    match word(item):
        case "fail" | "die":
            return False
        case "slow":
            return argument(item) < timeout
    return True


def make_items(dice: random.Random, count: int, flawed: float, deadly: int) -> list[str]:
    """Return `count` rows, a share of them flawed, at most `deadly` of them killing their model replica."""
    rows = []
    for number in range(count):
        kind = dice.choice(FLAWED) if dice.random() < flawed else "good"
        if kind in {"die", "dies"}:
            deadly -= 1
            kind = kind if deadly >= 0 else "good"
        rows.append(_make(dice, kind, number))
    for _ in range(count // 100):
        # The same row twice is two items.
        rows[dice.randrange(count)] = f"good {dice.randrange(count)}"
    return rows


def _make(dice: random.Random, kind: str, number: int) -> str:
    match kind:
        case "fail":
            return f"fail {dice.choice(PERMANENT)} {number}"
        case "flaky":
            return f"flaky {dice.randint(1, 3)} {number}"
        case "dies":
            return f"dies 1 {number}"
        case "slow":
            return f"slow {dice.choice(('0.1', '0.3', '0.6'))} {number}"
        case "big":
            return f"big {dice.choice((2_000, 20_000))} {number}"
    return f"{kind} {number}"
