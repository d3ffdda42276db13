"""What the values of a column of JSON are, and the type that holds them all without a loss."""

import json
from collections.abc import Iterable
from enum import Flag, auto
from typing import Any, NoReturn

import msgspec
import polars as pl

SPARE_NESTING = 200
# Up to so many letters a whole number is one that a float holds exactly.
_EXACT_LETTERS = 15
_EXACT = 2**53
_INT64 = range(-(2**63), 2**63)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# Reads numbers as floats, which have no limit of digits.
STRICT = json.JSONDecoder(parse_int=float, parse_constant=_no_constant)


class Kind(Flag):
    """What the values of a column are; `LARGE` are whole numbers that a float would round, `OTHER` has no type."""

    NULL = 0
    TEXT = auto()
    BOOLEAN = auto()
    WHOLE = auto()
    LARGE = auto()
    FRACTION = auto()
    OTHER = auto()


_HEADS = {
    ord(letter): kind
    for letters, kind in {
        '"': Kind.TEXT,
        "tf": Kind.BOOLEAN,
        "-0123456789": Kind.WHOLE,
        "n": Kind.NULL,
        "{[": Kind.OTHER,
    }.items()
    for letter in letters
}
_TYPES: dict[Kind, tuple[pl.DataType, msgspec.json.Decoder[Any]]] = {
    Kind.NULL: (pl.String(), msgspec.json.Decoder(list[str | None])),
    Kind.TEXT: (pl.String(), msgspec.json.Decoder(list[str | None])),
    Kind.BOOLEAN: (pl.Boolean(), msgspec.json.Decoder(list[bool | None])),
    Kind.WHOLE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.LARGE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.WHOLE | Kind.LARGE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.FRACTION: (pl.Float64(), msgspec.json.Decoder(list[float | None])),
    Kind.WHOLE | Kind.FRACTION: (pl.Float64(), msgspec.json.Decoder(list[float | None])),
}


def has_type(kind: Kind) -> bool:
    """Say whether a type holds all values of this kind; else a column of them is JSON text."""
    return kind in _TYPES


def kind_of(values: list[msgspec.Raw]) -> Kind:
    """Say what these are; raises msgspec.DecodeError or RecursionError for what cannot be passed on."""
    texts = list(map(bytes, values))
    kind = Kind.NULL
    for head in {text[0] for text in texts}:
        kind |= _HEADS[head]
    if Kind.TEXT in kind:
        # Whatever is taken as text can be read as such.
        _TYPES[Kind.TEXT][1].decode(_array(text for text in texts if text[0] == ord('"')))
    if Kind.OTHER in kind:
        spare, more = b"[" * SPARE_NESTING, b"]" * SPARE_NESTING
        msgspec.json.decode(spare + _array(text for text in texts if text[0] in b"[{") + more)
    if Kind.WHOLE in kind:
        kind = kind & ~Kind.WHOLE | _kind_of_numbers([text for text in texts if _HEADS[text[0]] is Kind.WHOLE])
    return kind


def _kind_of_numbers(texts: list[bytes]) -> Kind:
    kind = Kind.NULL
    whole = [text for text in texts if not (b"." in text or b"e" in text or b"E" in text)]
    if len(whole) < len(texts):
        kind |= Kind.FRACTION
        fractions = [text for text in texts if b"." in text or b"e" in text or b"E" in text]
        try:
            _TYPES[Kind.FRACTION][1].decode(_array(fractions))
        except msgspec.ValidationError:
            # Out of the range of a float.
            kind |= Kind.OTHER
    if whole:
        kind |= Kind.WHOLE
        if max(map(len, whole)) > _EXACT_LETTERS:
            kind |= _kind_of_large(whole)
    return kind


def _kind_of_large(texts: list[bytes]) -> Kind:
    try:
        numbers: list[int] = _TYPES[Kind.WHOLE][1].decode(_array(texts))
    except msgspec.ValidationError:
        return Kind.OTHER
    smallest, largest = min(numbers), max(numbers)
    if smallest not in _INT64 or largest not in _INT64:
        return Kind.OTHER
    return Kind.LARGE if max(-smallest, largest) > _EXACT else Kind.NULL


def make_column(kind: Kind, values: list[msgspec.Raw]) -> pl.Series:
    """Make the column of a kind; raises nothing for values of it."""
    if kind in _TYPES:
        dtype, decoder = _TYPES[kind]
        return pl.Series(values=decoder.decode(_array(values)), dtype=dtype)
    texts = [bytes(value).decode() for value in values]
    return pl.Series(values=[None if text == "null" else text for text in texts], dtype=pl.String)


def _array(values: Iterable[bytes | msgspec.Raw]) -> bytes:
    return b"[" + b",".join(values) + b"]"
