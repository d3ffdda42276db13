"""`redis_url`: the Redis that it names, and the error if it names none."""

import re

import pytest

from pipeline.errors import ConfigurationError
from pipeline.settings.environment import read_settings
from pipeline.settings.redis_url import RedisAddress, parse_redis_url

GOOD = {
    "redis://redis": RedisAddress("", (("redis", 6379),), "", "redis://redis:6379"),
    "rediss://me@redis:7000/2?socket_timeout=3": RedisAddress(
        "", (("redis", 7000),), "", "rediss://me@redis:7000/2?socket_timeout=3"
    ),
    "redis://[::1]:7000": RedisAddress("", (("::1", 7000),), "", "redis://[::1]:7000"),
    "redis+cluster://a": RedisAddress("cluster", (("a", 6379),), "", "redis://a:6379"),
    "redis+cluster://a:1,b,10.0.0.3:3/0": RedisAddress(
        "cluster", (("a", 1), ("b", 6379), ("10.0.0.3", 3)), "", "redis://a:1/0"
    ),
    "rediss+cluster://me@a:1,b:2": RedisAddress("cluster", (("a", 1), ("b", 2)), "", "rediss://me@a:1"),
    "redis+sentinel://a:1,b/main": RedisAddress("sentinel", (("a", 1), ("b", 26379)), "main", "redis://a:1"),
    "rediss+sentinel://a/my%20main/3?ssl_cert_reqs=none": RedisAddress(
        "sentinel", (("a", 26379),), "my main", "rediss://a:26379/3?ssl_cert_reqs=none"
    ),
}

BAD = (
    ("localhost:6379", "expected redis://host:port[/db], redis+cluster://host:port[,host:port...] or"),
    ("redis+://a", "expected redis://"),
    ("redis+ring://a", "expected redis://"),
    ("http+cluster://a", "expected redis://"),
    ("cluster+redis://a", "expected redis://"),
    ("redis://a:1,b:2", "not a host with a port: 'a:1,b:2'"),
    ("redis+cluster://", "not a host with a port: ''"),
    ("redis+cluster://a:1,", "not a host with a port: ''"),
    ("redis+cluster://a:1,b:x", "not a host with a port: 'b:x'"),
    ("redis+cluster://a:1,b:0", "not a host with a port: 'b:0'"),
    ("redis+cluster://a:1,b:65536", "not a host with a port: 'b:65536'"),
    ("redis+cluster://a:1/2", "a cluster has only the database 0, not 2"),
    ("redis+cluster://a:1/main", "not the number of a database: 'main'"),
    ("redis://a/one", "not the number of a database: 'one'"),
    ("redis+sentinel://a:1", "the service's name is missing"),
    ("redis+sentinel://a:1/", "the service's name is missing"),
    ("redis+sentinel://a:1/main/x", "not the number of a database: 'x'"),
    ("redis+sentinel://a:1/main/2/3", "not the number of a database: '2/3'"),
)

WITH_PASSWORD = (
    "redis://:hunter2@redis",
    "redis+cluster://:hunter2@a:1,b:2",
    "redis+cluster://a:1,me:hunter2@b:2",
    "rediss+cluster://a:1?password=hunter2",
    "redis+sentinel://me:hunter2@a:1/main",
    "rediss+sentinel://a:1/main?password=hunter2",
)


@pytest.mark.parametrize("url", GOOD)
def test_url_names_a_server_a_cluster_or_sentinels(url: str) -> None:
    assert parse_redis_url(url) == GOOD[url]
    assert read_settings({"s3_bucket": "rows", "redis_url": url}).redis_url == url


@pytest.mark.parametrize(("url", "trouble"), BAD)
def test_bad_url_is_an_error_that_says_what_was_expected(url: str, trouble: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^settings: redis_url: .*{re.escape(trouble)}"):
        read_settings({"s3_bucket": "rows", "redis_url": url})


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_password_in_any_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the password belongs in the secret redis-password") as caught:
        read_settings({"s3_bucket": "rows", "redis_url": url})
    assert "hunter2" not in str(caught.value)
