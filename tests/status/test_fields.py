"""The fields of the status document are declared once: the API's description and the client are held against that."""

import ast
import inspect
from typing import Any

import msgspec

from bench.fuzz.described import resolve
from pipeline.client.progress import Progress
from pipeline.status import fields
from pipeline.status.fields import Status

Schema = dict[str, Any]
DESCRIBED: Schema = resolve("#/components/schemas/Status")
DECLARED, CLASSES = (msgspec.json.schema(Status)[name] for name in ("$ref", "$defs"))
CLIENT, CLIENT_CLASSES = (msgspec.json.schema(Progress)[name] for name in ("$ref", "$defs"))


def followed(schema: Schema, classes: Schema) -> Schema:
    """Return a schema with its reference followed; what stands beside the reference stays."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return {**(classes[name] if name in classes else resolve(schema["$ref"])), **schema, "$ref": ""}


def kinds(schema: Schema, classes: Schema) -> dict[str, Any]:
    """Return each kind of value that a schema allows, with what it is made of; its rules are left out."""
    if "anyOf" in schema:
        return {kind: part for option in schema["anyOf"] for kind, part in kinds(option, classes).items()}
    schema = followed(schema, classes)
    names = schema.get("type", "string" if "enum" in schema else [])
    found: dict[str, Any] = dict.fromkeys([names] if isinstance(names, str) else names)
    if "object" in found:
        found["object"] = {name: kinds(part, classes) for name, part in schema["properties"].items()}
    if "array" in found:
        found["array"] = kinds(schema.get("items", {}), classes)
    return found


def without_null(found: Any) -> Any:
    return {name: without_null(part) for name, part in found.items() if name != "null"} if found else found


def helps() -> dict[str, dict[str, str]]:
    """Return the line below each field, by the name of its class; that of the class itself has no name."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(fields)).body:
        if isinstance(node, ast.ClassDef):
            texts = {"": ast.get_docstring(node) or ""}
            for field, below in zip(node.body, [*node.body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    texts[ast.unparse(field.target)] = ast.literal_eval(below.value)
            found[node.name] = texts
    return found


HELPS = helps()


def check_helps(described: Schema, name: str) -> None:
    """Compare the description of each property with the line of its field, or of the class that it is of."""
    for field, part in CLASSES[name]["properties"].items():
        there = followed(described["properties"][field], {})
        options = [option for option in part.get("anyOf", [part]) if option.get("type") != "null"]
        (nested,) = [options[0].get("items", options[0]).get("$ref", "").rpartition("/")[2]]
        assert there["description"].rstrip() == HELPS[name].get(field, HELPS.get(nested, {}).get(""))
        if nested in CLASSES:
            check_helps(there.get("items", there), nested)


def test_description_has_the_declared_fields_and_types() -> None:
    assert kinds(DESCRIBED, {}) == kinds({"$ref": DECLARED}, CLASSES)
    assert set(DESCRIBED["required"]) == set(CLASSES["Status"]["required"]) == set(DESCRIBED["properties"])


def test_description_has_the_help_of_each_field() -> None:
    assert DESCRIBED["description"] == HELPS["Status"][""]
    check_helps(DESCRIBED, "Status")


def test_client_reads_every_field_with_its_type() -> None:
    # It takes an older function's document too, in which a field may be missing or null.
    declared, read = (
        without_null(kinds({"$ref": name}, classes)["object"])
        for name, classes in ((DECLARED, CLASSES), (CLIENT, CLIENT_CLASSES))
    )
    # A cell of an answer stays what it is: as a float a whole number would be another text.
    declared["sql"]["object"]["first"]["array"]["array"] = {}
    assert read == declared
