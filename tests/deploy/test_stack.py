"""stack.yml compared with the variables that the code and of-watchdog read."""

import re
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.handler import MODES, resolve_mode
from pipeline.local.stack import ALLOCATOR
from pipeline.request import Event
from pipeline.server import SHUTDOWN_TIMEOUT, create_app
from pipeline.settings.environment import Settings, read_settings
from pipeline.settings.secrets import read_secrets
from tests.rigs.images import DOCKERFILE, HANDLER, ROOT, function, image_environment, instructions, seconds, stack

UPSTREAM_TIMEOUT = 60.0
ACK_WAIT = 60.0
# The table "Configuration" of the README of github.com/openfaas/of-watchdog; those for OAuth and JWT left out.
WATCHDOG = {
    "buffer_http",
    "content_type",
    "exec_timeout",
    "fprocess",
    "function_process",
    "healthcheck_interval",
    "http_buffer_req_body",
    "http_upstream_url",
    "log_buffer_size",
    "log_call_id",
    "max_inflight",
    "mode",
    "one_shot",
    "port",
    "prefix_logs",
    "read_timeout",
    "ready_path",
    "static_path",
    "suppress_lock",
    "upstream_url",
    "write_timeout",
}
PYTHON = {"HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
SECRET_VALUES = {"s3-key": "AKIA", "s3-secret": "hidden", "redis-password": "hidden", "pipeline-key": "k" * 32}


def environment() -> dict[str, str]:
    values: dict[str, str] = function("pipeline")["environment"]
    return values


def write_secrets(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).write_text(SECRET_VALUES[name])
    return folder


def test_every_variable_is_read() -> None:
    assert set(environment()) <= set(Settings.model_fields) | WATCHDOG
    assert set(image_environment()) <= set(Settings.model_fields) | WATCHDOG | PYTHON | set(ALLOCATOR)


def test_every_value_is_a_string() -> None:
    """faas-cli takes strings; a bare number or `yes` would depend on the YAML reader."""
    for name, one in stack()["functions"].items():
        wrong = {key: value for key, value in one["environment"].items() if not isinstance(value, str)}
        assert wrong == {}, name


def test_settings_are_valid() -> None:
    settings = read_settings(environment())
    assert (settings.s3_endpoint, settings.public_url) == (None, None)
    assert settings.function_name in stack()["functions"]


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("S3_BUCKET", "my-bucket", "s3_bucket"),
        ("S3_REGION", "eu-west-1", "s3_region"),
        ("S3_ENDPOINT", "https://s3.example.com", "s3_endpoint"),
        ("S3_ADDRESSING", "path", "s3_addressing"),
        ("REDIS_URL", "rediss://redis.example.com:6380", "redis_url"),
        ("PUBLIC_URL", "https://gateway.example.com", "public_url"),
    ],
)
def test_variable_of_the_deployer_reaches_its_setting(variable: str, value: str, setting: str) -> None:
    given = stack({variable: value})["functions"]["pipeline"]["environment"]
    assert getattr(read_settings(given), setting) == value


def test_image_name_has_an_optional_prefix() -> None:
    assert function("pipeline")["image"].startswith("yourname/")
    image = stack({"IMAGE_PREFIX": "team"})["functions"]["pipeline"]["image"]
    assert re.fullmatch(r"team/pipeline:\d+\.\d+\.\d+", image)


def test_image_version_is_that_of_the_package() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert function("pipeline")["image"].endswith(":" + version[1])


def test_listed_secrets_are_those_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = function("pipeline")["secrets"]
    folder = write_secrets(tmp_path, listed)
    asked: set[str] = set()
    read_text = Path.read_text
    exists = Path.exists

    def record_read(path: Path) -> str:
        asked.add(path.name)
        return read_text(path)

    def record_exists(path: Path) -> bool:
        asked.add(path.name)
        return exists(path)

    monkeypatch.setattr(Path, "read_text", record_read)
    monkeypatch.setattr(Path, "exists", record_exists)
    read_secrets(folder)
    assert asked == {*listed, "pipeline-token", "s3-token", "webhook-key"}, "the rest is asked for where it was made"


@pytest.mark.parametrize("missing", ["s3-key", "s3-secret", "pipeline-key"])
def test_missing_secret_is_named(tmp_path: Path, missing: str) -> None:
    folder = write_secrets(tmp_path, [name for name in function("pipeline")["secrets"] if name != missing])
    with pytest.raises(ConfigurationError, match=missing):
        read_secrets(folder)


def test_each_timeout_is_longer_than_the_one_before_it() -> None:
    given = environment()
    settings = read_settings(given)
    chain = [
        settings.task_timeout,
        seconds(given["exec_timeout"]),
        seconds(given["write_timeout"]),
    ]
    assert chain == sorted(set(chain))
    assert chain[-1] <= UPSTREAM_TIMEOUT
    assert given["read_timeout"] == given["write_timeout"]


def test_task_is_answered_before_its_redelivery() -> None:
    given = environment()
    ack_wait = read_settings(given).ack_wait
    assert seconds(given["exec_timeout"]) < ack_wait == ACK_WAIT


def test_stop_waits_for_requests_in_flight() -> None:
    given = environment()
    assert read_settings(given).task_timeout < SHUTDOWN_TIMEOUT <= seconds(given["write_timeout"])
    assert seconds(given["healthcheck_interval"]) <= read_settings(given).drain_delay < seconds(given["exec_timeout"])


def test_callbacks_are_never_refused_for_tasks() -> None:
    """A full watchdog answers 429, and a refused callback is not sent again."""
    assert "max_inflight" not in environment()
    assert "max_inflight" not in image_environment()


def test_port_is_not_set() -> None:
    """Both the watchdog and the function read `port`, and must not listen on the same one."""
    assert "port" not in environment()
    image = image_environment()
    assert "port" not in image
    assert image["upstream_url"] == f"http://127.0.0.1:{Settings.model_fields['port'].default}"


def test_cron_annotation_wakes_the_sweep() -> None:
    annotations = function("pipeline")["annotations"]
    assert annotations["topic"] == "cron-function"
    fields = annotations["schedule"].split()
    assert len(fields) == 5
    assert all(re.fullmatch(r"(\*|\d+)(/[1-9]\d*)?", field) for field in fields)
    event = Event(b"", {"X-Connector": "cron-connector"}, "POST", {}, "/")
    assert resolve_mode(event) == "sweep"
    assert "sweep" in MODES


def test_readiness_probe_uses_the_ready_path() -> None:
    ready = function("pipeline")["annotations"]["com.openfaas.ready.http.path"]
    assert ready == image_environment()["ready_path"] == "/_/ready"


def test_prometheus_scrapes_the_metrics_path() -> None:
    annotations = function("pipeline")["annotations"]
    exposed = next(one.text for one in instructions() if one.name == "EXPOSE")
    assert (annotations["prometheus.io.scrape"], annotations["prometheus.io.port"]) == ("true", exposed)
    paths = [resource.canonical for resource in create_app(read_settings(environment())).router.resources()]
    assert annotations["prometheus.io.path"] in paths[:-1], "the last one takes every path"


def test_watchdog_leaves_log_lines_unchanged() -> None:
    assert image_environment()["prefix_logs"] == "false"


def test_annotations_and_labels_are_strings() -> None:
    one = function("pipeline")
    assert all(isinstance(value, str) for part in ("annotations", "labels") for value in one[part].values())


def test_handler_is_the_folder_with_the_dockerfile() -> None:
    one = function("pipeline")
    assert one["lang"] == "dockerfile"
    assert (ROOT / one["handler"]).resolve() == HANDLER.resolve()
    assert DOCKERFILE.is_file()
    assert one["readonly_root_filesystem"] is True


def test_model_function_is_deployed_beside_the_pipeline() -> None:
    model = read_settings(environment()).model_function
    assert model is not None
    assert set(stack()["functions"]) == {"pipeline", model}
    assert function(model)["skip_build"] is True
    assert "secrets" not in function(model)
