"""Settings come from the environment, and an error names every bad one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigurationError
from pipeline.settings.environment import Settings, read_settings

MINIMAL = {"s3_bucket": "rows"}

BAD_VALUES = (
    ("gateway_url", "gateway:8080"),
    ("gateway_url", "ftp://gateway"),
    ("gateway_url", "http://"),
    ("gateway_url", "http://admin:pass@gateway"),
    ("gateway_url", "http://[::1"),
    ("gateway_url", "http://gateway:80a"),
    ("public_url", "example.org"),
    ("public_url", "https://example.org:99999"),
    ("function_name", "Pipeline"),
    ("function_name", "pipeline/collect"),
    ("function_name", "-pipeline"),
    ("function_name", "p" * 129),
    ("allowed_functions", "Model"),
    ("allowed_functions", "a b"),
    ("allowed_functions", "a,,b"),
    ("allowed_functions", ","),
    ("allowed_functions", "model/../system"),
    ("allowed_urls", "hooks.example.org"),
    ("allowed_urls", "https://hooks.example.org,"),
    ("allowed_urls", "ftp://hooks.example.org"),
    ("allowed_urls", "https://user@hooks.example.org"),
    ("allowed_urls", "https://hooks.example.org/?a=b"),
    ("allowed_urls", "https://*.example.org"),
    ("allowed_urls", "https://hooks.example.org/a/../b"),
    ("allowed_hosts", "example.org:8080"),
    ("allowed_hosts", "https://example.org"),
    ("allowed_buckets", "Rows"),
    ("allowed_buckets", "rows,"),
    ("allowed_buckets", "rows/data"),
    ("model_function", "model?x"),
    ("redis_url", "localhost:6379"),
    ("redis_url", "http://redis:6379"),
    ("redis_url", "redis://"),
    ("redis_url", "redis://redis:port"),
    ("s3_bucket", "ab"),
    ("s3_bucket", "Rows"),
    ("s3_bucket", "rows/input"),
    ("s3_bucket", "r" * 64),
    ("s3_endpoint", "minio:9000"),
    ("s3_public_endpoint", "minio:9000"),
    ("s3_addressing", "both"),
    ("task_timeout", "0"),
    ("task_timeout", "-1"),
    ("task_timeout", "3601"),
    ("task_timeout", "nan"),
    ("task_timeout", "50s"),
    ("ack_wait", "0"),
    ("ack_wait", "86401"),
    ("openfaas_pro", "maybe"),
    ("retry_codes", "429;503"),
    ("retry_codes", "429,"),
    ("retry_attempts", "-1"),
    ("retry_wait", "2m"),
    ("temporary_bytes", "1000000"),
    ("temporary_bytes", "1 GB"),
    ("retention", "0"),
    ("retention", "a week"),
    ("max_rows", "0"),
    ("max_rows", "1e9"),
    ("sweep_interval", "0"),
    ("sweep_interval", "inf"),
    ("drain_delay", "-1"),
    ("drain_delay", "soon"),
    ("log_level", "verbose"),
    ("log_level", "INFO"),
    ("port", "-1"),
    ("port", "65536"),
    ("port", "80.5"),
)


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_bad_value_is_an_error_that_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^settings: {name}: ") as caught:
        read_settings(MINIMAL | {name: value})
    assert ";" not in str(caught.value)


def test_every_setting_has_a_bad_value_here() -> None:
    any_text = {"s3_region", "secret_mount_path"}
    assert {name for name, _ in BAD_VALUES} | any_text == set(Settings.model_fields)


def test_all_bad_variables_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"port": "x", "ack_wait": "y", "s3_addressing": "z"})
    assert [part.split(":")[0] for part in str(caught.value).removeprefix("settings: ").split("; ")] == [
        "s3_bucket",
        "s3_addressing",
        "ack_wait",
        "port",
    ]


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@redis:6379", "rediss://user:hunter2@redis", "redis://redis?password=hunter2"]
)
def test_password_in_the_redis_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^settings: redis_url: .*the secret redis-password") as caught:
        read_settings(MINIMAL | {"redis_url": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://redis:6379", "rediss://redis", "redis://user@redis/3", "redis://[::1]:6379/0"]
)
def test_redis_url_is_kept_unchanged(url: str) -> None:
    assert read_settings(MINIMAL | {"redis_url": url}).redis_url == url


def test_unknown_variables_are_ignored() -> None:
    assert read_settings(MINIMAL | {"HOSTNAME": "pipeline-7", "PATH": "/bin"}) == read_settings(MINIMAL)


def test_empty_variable_counts_as_unset() -> None:
    assert read_settings(MINIMAL | dict.fromkeys(set(Settings.model_fields) - {"s3_bucket"}, "")) == read_settings(
        MINIMAL
    )


@pytest.mark.parametrize("environment", [{}, {"s3_bucket": ""}])
def test_bucket_is_required(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^settings: s3_bucket: Field required$"):
        read_settings(environment)


def test_defaults_are_those_of_a_cluster() -> None:
    settings = read_settings(MINIMAL)
    assert settings.gateway_url == "http://gateway.openfaas.svc.cluster.local:8080"
    assert settings.secret_mount_path == Path("/var/openfaas/secrets")
    assert (settings.function_name, settings.model_function, settings.public_url) == ("pipeline", None, None)
    assert settings.openfaas_pro is False


def test_values_are_typed_and_urls_lose_their_trailing_slash() -> None:
    settings = read_settings(
        MINIMAL
        | {
            "gateway_url": "https://gw:8443/",
            "port": "0",
            "openfaas_pro": "true",
            "task_timeout": "2.5",
            "ack_wait": "3",
        }
    )
    assert (settings.gateway_url, settings.port, settings.openfaas_pro) == ("https://gw:8443", 0, True)
    assert settings.silence == 5.5


ALLOWED: dict[str, tuple[str, str, bool]] = {
    "any, by default": ("", "model", True),
    "a name": ("model", "model", True),
    "another name": ("model", "model2", False),
    "a name's beginning": ("model", "mode", False),
    "one of several": ("a, b,c", "b", True),
    "none of several": ("a, b,c", "d", False),
    "a star": ("model-*", "model-x", True),
    "a star of another": ("model-*", "model", False),
    "a question mark": ("model?", "model2", True),
    "a set": ("model[12]", "model3", False),
    "all but a set": ("model[!12]", "model3", True),
    "a dot is a dot": ("m.del", "model", False),
    "a namespace": ("*.models", "classify.models", True),
    "a namespace that was not named": ("model", "model.other", False),
}


@pytest.mark.parametrize(("patterns", "function", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_function_is_allowed_by_a_pattern(patterns: str, function: str, *, allowed: bool) -> None:
    assert read_settings(MINIMAL | {"allowed_functions": patterns}).allows(function) is allowed


def test_model_function_must_be_allowed() -> None:
    listed = {"allowed_functions": "model-*,other", "model_function": "model"}
    with pytest.raises(ConfigurationError) as caught:
        read_settings(MINIMAL | listed)
    expected = "settings: model_function: Value error, 'model' is not among the allowed_functions: model-*, other"
    assert str(caught.value) == expected
    assert read_settings(MINIMAL | listed | {"model_function": "other"}).model_function == "other"


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings(MINIMAL).port = 1


@pytest.mark.parametrize(
    ("patterns", "bucket", "allowed"),
    [
        ("", "rows", True),
        ("", "others", False),
        ("data-*, raw", "data-2024", True),
        ("data-*, raw", "raw", True),
        ("data-*, raw", "raws", False),
        ("raw", "rows", True),
        ("*", "others", True),
    ],
)
def test_bucket_is_allowed_by_a_pattern(patterns: str, bucket: str, *, allowed: bool) -> None:
    assert read_settings(MINIMAL | {"allowed_buckets": patterns}).allows_bucket(bucket) == allowed


HOSTS = {"public_url": "https://faas.example.org:8443", "allowed_hosts": "*.lan, pipeline"}


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *[(host, True) for host in ("faas.example.org", "FAAS.example.org.", "faas.example.org:8443", "a.lan:80")],
        *[
            (host, True)
            for host in ("pipeline", " localhost:8080", "127.0.0.1:5000", "10.1.2.3", "[::1]:80", "[fe80::1]")
        ],
        *[
            (host, False)
            for host in ("", "evil.com", "example.org", "faas.example.org.evil.com", "lan", "127.0.0.1.evil.com")
        ],
        *[
            (host, False)
            for host in ("localhost.evil.com", "a@localhost", "evil.com/@localhost", "localhost:x", "[a", "2130706433")
        ],
        *[(host, False) for host in ("gateway", "gateway.openfaas.svc.cluster.local")],
    ],
)
def test_browser_may_use_the_hosts_of_the_settings(host: str, *, allowed: bool) -> None:
    assert read_settings(MINIMAL | HOSTS).allows_host(host) == allowed


def test_browser_may_use_the_host_of_the_gateway_where_it_is_the_public_one() -> None:
    settings = read_settings(MINIMAL | {"gateway_url": "http://gateway:8080"})
    assert settings.allows_host("gateway:8080")
    assert not settings.allows_host("other")
    assert not settings.allows_host("")


def test_malformed_pattern_is_named_with_its_kind() -> None:
    for name in ("bucket", "function", "host"):
        with pytest.raises(ConfigurationError, match=f"'a b' is not the name of a {name}, with or without"):
            read_settings(MINIMAL | {f"allowed_{name}s": "a b"})


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_has_one_line_of_help(name: str) -> None:
    text = Settings.model_fields[name].description or ""
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) <= 100
