"""The typed answers have the fields of the API description."""

from typing import Any

import msgspec
import pytest
import yaml

from pipeline.client.documents import (
    Batches,
    Brief,
    Check,
    Deleted,
    Diagnosis,
    DryRun,
    FirstCall,
    Link,
    Opened,
    Outputs,
    Redriven,
)
from tests.rigs.images import HANDLER

SCHEMAS: dict[str, Any] = yaml.safe_load((HANDLER / "openapi.yaml").read_text())["components"]["schemas"]
CHECK = SCHEMAS["Checks"]["properties"]["checks"]["items"]
FIRST_CALL = SCHEMAS["DryRun"]["properties"]["first_calls"]["items"]


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        (Batches, SCHEMAS["Batches"]),
        (Brief, SCHEMAS["Brief"]),
        (Link, SCHEMAS["Link"]),
        (Outputs, SCHEMAS["Outputs"]),
        (FirstCall, FIRST_CALL),
        (Check, CHECK),
        (Diagnosis, SCHEMAS["Checks"]),
        (Opened, SCHEMAS["KnownBatch"]),
    ],
)
def test_document_has_the_described_fields(document: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    assert sorted(document.__struct_fields__) == sorted(schema["properties"])


@pytest.mark.parametrize(
    ("document", "schema", "unread"),
    [
        (DryRun, SCHEMAS["DryRun"], {"exists", "state"}),
        (Redriven, SCHEMAS["NothingToRedrive"], {"batch_id", "state", "status_url"}),
        (Deleted, SCHEMAS["Deleted"], {"batch_id"}),
    ],
)
def test_document_lacks_only_fields_that_the_client_does_not_read(
    document: type[msgspec.Struct], schema: dict[str, Any], unread: set[str]
) -> None:
    assert {*document.__struct_fields__} | unread == set(schema["properties"])
