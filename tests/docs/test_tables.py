"""The tables of the pages and the code agree."""

import re

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from pipeline.cli.app import app
from pipeline.cli.command import Exit
from pipeline.client import Batch, Pipeline
from pipeline.client.documents import DryRun
from pipeline.client.progress import Progress
from pipeline.handler import MODES
from pipeline.metrics import Metrics
from pipeline.settings.environment import Settings
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import AUTO_CHUNK
from pipeline.spec.headers import HEADERS_LIMIT, MOST_HEADERS
from pipeline.store.columns import OUTCOME_TYPES
from pipeline.units import KIB
from tests.rigs.docs.kinds import Kind, kind_of
from tests.rigs.docs.pages import BATCHES, CLIENTS, DEPLOY, OPERATE, README, RESULTS, Page, commands
from tests.rigs.images import HANDLER

GROUP = get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands
# Command lines of the program itself, without its name.
EXAMPLES = [
    command.words()[1:]
    for command in commands()
    if command.programs() == ["pipeline"] and kind_of(command) in {Kind.GATEWAY, Kind.RECIPE}
]


def test_every_setting_has_its_row() -> None:
    assert sorted(DEPLOY.table("setting")) == sorted(Settings.model_fields)


def test_every_field_of_a_specification_has_its_row() -> None:
    assert sorted(BATCHES.table("field")) == sorted(BatchSpec.model_fields)


def test_every_mode_has_its_row() -> None:
    assert sorted(README.table("`X-Mode`")) == sorted(MODES)


def test_every_secret_has_its_row() -> None:
    optional = ["pipeline-token", "s3-token", "webhook-key"]
    wanted = sorted(["pipeline-key", "redis-password", "s3-key", "s3-secret", *optional])
    assert sorted(DEPLOY.table("secret")) == wanted


def test_every_field_of_a_status_has_its_row() -> None:
    assert sorted(BATCHES.table("field of the status")) == sorted(Progress.__struct_fields__)


def test_every_state_has_its_row() -> None:
    described = yaml.safe_load((HANDLER / "openapi.yaml").read_text())["components"]["schemas"]["State"]["enum"]
    assert list(BATCHES.table("state")) == described


def test_the_fields_of_a_dry_run_are_fields_of_one() -> None:
    assert set(BATCHES.table("field of a dry run")) <= {*DryRun.__struct_fields__, "exists", "state"}


def test_every_column_of_the_outcome_has_its_row() -> None:
    assert list(RESULTS.table("column")) == list(OUTCOME_TYPES)


def _metrics() -> dict[str, str]:
    """Return the labels of each metric, with commas between, as one that has counted something shows them."""
    metrics = Metrics()
    metrics.answered("status", 200, 0)
    metrics.called(200, 0)
    metrics.redis_failed("connection")
    metrics.s3_failed("denied")
    text = metrics.exposition().decode()
    names = [name for name in re.findall(r"^# TYPE (pipeline_\w+) ", text, re.MULTILINE) if "_created" not in name]
    samples = {name: re.search(rf"^{name}(?:_count)?((?:{{.*}})?) ", text, re.MULTILINE) for name in names}
    return {name: ",".join(re.findall(r"(\w+)=", sample[1])) for name, sample in samples.items() if sample}


def test_every_metric_has_its_row() -> None:
    wanted = [f"{name}{{{labels}}}" if labels else name for name, labels in _metrics().items()]
    rows = [name for name in OPERATE.table("metric") if name.startswith("pipeline_")]
    assert sorted(rows) == sorted(wanted)
    assert set(re.findall(r"\bpipeline_\w+", OPERATE.text)) == set(_metrics())


def test_bounds_of_fields_are_as_the_table_says() -> None:
    stated = {
        name: (int(number.replace(",", "")) * (KIB if unit else 1))
        for name in BATCHES.table("field")
        for row in re.findall(rf"^\| `{name}` \|.*", BATCHES.text, re.MULTILINE)[:1]
        for number, unit in re.findall(r"at most (\d[\d,]*\d|\d)( KiB)?", row)
    }
    rules = BatchSpec.model_json_schema()["properties"]
    assert stated == {
        "columns": rules["columns"]["anyOf"][0]["maxItems"],
        "chunk": AUTO_CHUNK,
        "sql": rules["sql"]["anyOf"][0]["maxLength"],
        "inline_limit": rules["inline_limit"]["maximum"],
        "headers": MOST_HEADERS,
        "notify": rules["notify"]["maxItems"],
    }
    assert f"at most {MOST_HEADERS}, and {HEADERS_LIMIT // KIB} KiB in all" in BATCHES.text


@pytest.mark.parametrize(
    ("page", "heading", "model", "in_words"),
    [
        (
            DEPLOY,
            "setting",
            Settings,
            {
                *("s3_bucket", "s3_endpoint", "s3_public_endpoint", "public_url", "model_function", "retention"),
                *("allowed_urls", "allowed_buckets", "allowed_hosts", "temporary_bytes"),
            },
        ),
        (
            BATCHES,
            "field",
            BatchSpec,
            {
                *("input", "function", "column", "columns", "format", "escape", "pointer", "content_type", "outputs"),
                *("headers", "rate", "tolerate", "reduce", "notify", "sql"),
            },
        ),
    ],
    ids=["settings", "fields"],
)
def test_defaults_are_as_the_tables_say(
    page: Page, heading: str, model: type[Settings] | type[BatchSpec], in_words: set[str]
) -> None:
    fields = {name: field for name, field in model.model_fields.items() if name not in in_words}
    defaults = {name: str(field.default) for name, field in fields.items()}
    expected = {name: value.lower() if value in {"True", "False"} else value for name, value in defaults.items()}
    table = page.table(heading)
    assert {name: table[name] for name in fields} == expected


def test_every_command_has_its_row() -> None:
    assert sorted(CLIENTS.table("command")) == sorted(COMMANDS)


def test_every_exit_code_has_its_row() -> None:
    assert CLIENTS.table("exit code").keys() == {str(code.value) for code in Exit}


@pytest.mark.parametrize("words", EXAMPLES, ids=" ".join)
def test_an_example_of_the_command_line_is_understood(words: list[str]) -> None:
    command, *arguments = words
    COMMANDS[command].make_context(command, arguments)


def test_every_command_has_an_example() -> None:
    assert {words[0] for words in EXAMPLES} == set(COMMANDS)


def test_every_method_of_the_client_is_named() -> None:
    part = CLIENTS.part("Python")
    methods = {name for kind in (Pipeline, Batch) for name in vars(kind) if not name.startswith("_")}
    assert [name for name in methods - {"page"} if not re.search(rf"`{name}[(`]", part)] == []
