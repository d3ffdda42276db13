"""The description of the API says what the code does."""

import tomllib
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from bench.fuzz.described import description, fixed, modes, resolve
from pipeline import errors
from pipeline.bodies import BODY_LIMIT
from pipeline.errors import PipelineError
from pipeline.handler import MODES, Signed
from pipeline.ledger.states import STATES
from pipeline.metrics import VERSION
from pipeline.modes.tune import Tuning
from pipeline.request import BATCH_ID, CALLBACK_PATH, DIRECT_PATH, PROBE_PATH, RESERVED_IDS
from pipeline.server import ERROR_HEADERS, create_app
from pipeline.settings.environment import read_settings
from pipeline.spec.batch_spec import MOST_PROBLEMS, BatchSpec
from pipeline.spec.headers import HEADERS_LIMIT, MOST_HEADERS
from pipeline.status.list import SHOWN_BATCHES
from pipeline.store.keys import CONTENT_TYPES
from pipeline.units import KIB
from tests.rigs.images import ROOT

SUCCESSES = {200, 201, 202}
EXPECTATION_FAILED = 417
# A CSV or its key is the body, and headers are no text.
NOT_IN_QUERY = {"input", "headers"}


def without(schema: Any, word: str) -> Any:
    """Return a schema without this keyword."""
    if isinstance(schema, dict):
        return {name: without(part, word) for name, part in schema.items() if name != word}
    return [without(part, word) for part in schema] if isinstance(schema, list) else schema


def statuses(responses: dict[str, Any]) -> set[int]:
    return set(map(int, responses))


def parameter(name: str) -> dict[str, Any]:
    """Return the one parameter of POST / with this name."""
    all_of_them = [resolve(entry["$ref"]) for entry in description()["paths"]["/"]["post"]["parameters"]]
    (found,) = [entry for entry in all_of_them if entry["name"] == name]
    return dict(found)


def test_it_is_openapi() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(description()).iter_errors()] == []


def test_its_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert description()["info"]["version"] == VERSION == project["version"]


def test_the_modes_are_those_of_the_handler() -> None:
    assert set(modes()) == set(MODES)
    assert parameter("X-Mode")["schema"]["enum"] == list(MODES)
    assert {name for name, mode in modes().items() if mode.get("signed")} == {
        name for name, mode in MODES.items() if isinstance(mode, Signed)
    }


def test_the_paths_are_those_of_the_server() -> None:
    *served, rest = create_app(read_settings({"s3_bucket": "rows"})).router.resources()
    assert rest.canonical == "/{path}"
    assert fixed() == {resource.canonical for resource in served}
    assert set(description()["paths"]) == {"/", CALLBACK_PATH, DIRECT_PATH, PROBE_PATH} | fixed()


def test_the_specification_is_that_of_the_code() -> None:
    said, meant = resolve("#/components/schemas/BatchSpec"), without(BatchSpec.model_json_schema(), "title")
    # What a key may be is a rule that pydantic's schema does not carry.
    meant["properties"]["input"].pop("type")
    meant["properties"]["input"]["$ref"] = "#/components/schemas/ObjectKey"
    assert said["properties"] == meant["properties"]
    assert said["required"] == meant["required"]
    assert said["additionalProperties"] is meant["additionalProperties"] is False
    defaults = {name: field.default for name, field in BatchSpec.model_fields.items() if name != "headers"}
    lists = {name: list(value) for name, value in defaults.items() if isinstance(value, tuple)}
    optional = {name: value for name, value in (defaults | lists).items() if name not in meant["required"]}
    assert {name: said["properties"][name]["default"] for name in optional} == optional


def test_the_query_takes_every_field_that_text_can_be() -> None:
    assert set(modes()["batch"]["query"]) == set(BatchSpec.model_fields) - NOT_IN_QUERY
    for name in modes()["batch"]["query"]:
        if name != "rate":
            assert parameter(name)["schema"] == {"$ref": f"#/components/schemas/BatchSpec/properties/{name}"}


def test_what_can_be_tuned_is_that_of_the_code() -> None:
    assert set(modes()["tune"]["query"]) == {"batch", *Tuning.model_fields}
    bounds = Tuning.model_json_schema()["properties"]["rate"]["anyOf"]
    assert parameter("rate")["schema"] == {
        "type": "number",
        "minimum": min(bound["minimum"] for bound in bounds if "minimum" in bound),
        "maximum": max(bound["maximum"] for bound in bounds if "maximum" in bound),
    }


def test_the_statuses_are_those_of_the_errors() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PipelineError)]
    refusals = {kind.status for kind in kinds if kind is not PipelineError}
    post = statuses(description()["paths"]["/"]["post"]["responses"])
    assert post == refusals | SUCCESSES | {EXPECTATION_FAILED}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_answers_only_what_post_answers(mode: str) -> None:
    answers = modes()[mode]["responses"]
    assert statuses(answers) < statuses(description()["paths"]["/"]["post"]["responses"])
    assert {400, 403, 413, 429, 503} < statuses(answers)
    assert (401 in statuses(answers)) != isinstance(MODES[mode], Signed)
    for status, answer in answers.items():
        media = resolve(answer["$ref"])["content"]
        for kind, content in media.items():
            named = [content["schema"], *content["schema"].get("anyOf", [])]
            whole = description()["paths"]["/"]["post"]["responses"][status]
            there = (resolve(whole["$ref"]) if "$ref" in whole else whole)["content"][kind]["schema"]
            assert there == content["schema"] or any(one in there.get("anyOf", [there]) for one in named)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_names_parameters_that_there_are(mode: str) -> None:
    for name in modes()[mode]["query"]:
        assert parameter(name)["in"] == "query"


def test_errors_carry_the_headers_that_the_server_gives_them() -> None:
    said = {
        int(status): {name for name, header in answer.get("headers", {}).items() if header["required"]}
        for mode in modes().values()
        for status, response in mode["responses"].items()
        if (answer := resolve(response["$ref"])) and int(status) not in SUCCESSES
    }
    assert {status: names for status, names in said.items() if names} == {
        status: set(headers) for status, headers in ERROR_HEADERS.items()
    }


def test_bounds_that_stand_in_words_are_those_of_the_code() -> None:
    schemas = description()["components"]["schemas"]
    assert schemas["BatchId"]["pattern"] == f"^{BATCH_ID.pattern}$"
    assert set(schemas["BatchId"]["not"]["enum"]) == RESERVED_IDS
    assert schemas["Error"]["properties"]["problems"]["maxItems"] == MOST_PROBLEMS
    assert {schemas["Batches"]["properties"][name]["maxItems"] for name in ("open", "ended")} == {SHOWN_BATCHES}
    assert schemas["ObjectKey"]["maxLength"] == KIB
    assert set(schemas["State"]["enum"]) == STATES
    assert schemas["Link"]["properties"]["name"]["enum"] == list(CONTENT_TYPES)
    headers = schemas["BatchSpec"]["properties"]["headers"]["description"]
    assert f"at most {MOST_HEADERS} of {HEADERS_LIMIT} bytes" in headers
    csv = description()["paths"]["/"]["post"]["requestBody"]["content"]["text/csv"]["schema"]
    assert f"at most {BODY_LIMIT >> 20} MiB" in csv["description"]
