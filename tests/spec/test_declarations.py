"""A field of a specification is declared once: what else names its type, rule, default or help is held against that."""

from collections.abc import Sequence
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from pipeline.cli.app import app
from pipeline.client import SpecFields
from pipeline.spec.batch_spec import BatchSpec

FIELDS = BatchSpec.model_fields
# The client takes the input by itself, and a dry run is a method.
ARGUMENTS = [name for name in FIELDS if name not in {"input", "dry_run"}]
FLAGS = {"outputs": "output", "headers": "header", "header": "csv-header"}
RULES = {"minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "pattern"}
WORDS = {"default", "description", "title"}


def type_of(schema: Any) -> Any:
    """Return a JSON schema's types alone: without rules, words, and the null of what may be left out."""
    if isinstance(schema, list):
        return [type_of(part) for part in schema if part != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    plain = {name: type_of(part) for name, part in schema.items() if name not in RULES | WORDS}
    match plain.get("anyOf"):
        case [one]:
            return one
        case _:
            return plain


@pytest.mark.parametrize("name", FIELDS)
def test_field_has_one_line_of_help(name: str) -> None:
    text = FIELDS[name].description or ""
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) <= 100


def test_client_takes_every_field_with_its_type() -> None:
    hints = get_type_hints(SpecFields, localns={"Sequence": Sequence})
    assert list(hints) == ARGUMENTS
    declared = BatchSpec.model_json_schema()["properties"]
    assert {name: type_of(TypeAdapter(hints[name]).json_schema()) for name in ARGUMENTS} == {
        name: type_of(declared[name]) for name in ARGUMENTS
    }


def test_command_line_has_every_field_with_its_help_and_default() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    options = {option.name: option for option in group.commands["submit"].params}
    for name in [*ARGUMENTS, "dry_run"]:
        option = options[name]
        assert isinstance(option, TyperOption)
        text = option.help or ""
        assert option.opts == ["--" + FLAGS.get(name, name).replace("_", "-")]
        assert text.startswith(FIELDS[name].description or "")
        assert option.multiple == ("May be repeated." in text)
        default = FIELDS[name].default
        shown = f"[default: {default}]" if isinstance(default, int) and not isinstance(default, bool) else ""
        assert text.endswith(shown or ".")
        assert not option.default, "what is left out is not sent"
