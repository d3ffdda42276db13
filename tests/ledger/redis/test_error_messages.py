"""Errors of Redis: which are transient, and the message for each."""

import pytest
from redis import exceptions as redis
from redis.asyncio.sentinel import MasterNotFoundError

from pipeline.errors import UnavailableError
from pipeline.ledger.redis.client import unavailable
from pipeline.ledger.redis.errors import is_transient

SECRET = "hunter2"
# The parser of redis-py cuts the code off the messages of the classes it knows.
WORDS = (
    (redis.OutOfMemoryError("command not allowed ...", status_code="OOM"), False, "out of memory (maxmemory)"),
    (redis.BusyLoadingError("Redis is loading ...", status_code="LOADING"), True, "still loading its data"),
    (redis.ReadOnlyError("You can't write ...", status_code="READONLY"), True, "it is a read-only replica"),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but"), False, "cannot save to its disk"),
    (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), False, "min-replicas-to-write"),
    (redis.ClusterDownError("The cluster is down", status_code="CLUSTERDOWN"), True, "the cluster is down"),
    (
        redis.MasterDownError("Link with MASTER is down", status_code="MASTERDOWN"),
        True,
        "without a link to its primary",
    ),
    (redis.ResponseError("BUSY Redis is busy running a script."), True, "a script of somebody else"),
    (redis.TryAgainError("Multiple keys request", status_code="TRYAGAIN"), True, "moving these keys"),
    (redis.AuthenticationError("Authentication required.", status_code="NOAUTH"), False, "it demands a password"),
    (redis.AuthenticationError("invalid", status_code="WRONGPASS"), False, "it refuses the password"),
    (redis.AuthenticationError("invalid password", status_code="ERR"), False, "it refuses the password"),
    (redis.NoPermissionError("this user has no ...", status_code="NOPERM"), False, "may not run a command"),
    (redis.MovedError("1 10.0.0.1:6379", status_code="MOVED"), False, "write redis+cluster://"),
    (redis.ResponseError("This instance has cluster support disabled"), False, "it is no cluster: write redis://"),
    (redis.ClusterError("TTL exhausted."), True, "moving these keys"),
    (redis.SlotNotCoveredError("slot 1"), True, "some of its slots have no node"),
    (redis.MaxConnectionsError(), True, "all connections to it are in use"),
    (redis.TimeoutError("Timeout reading"), True, "it does not answer in time"),
    (redis.ConnectionError("Error 111 connecting"), True, "there is no connection to it"),
    (MasterNotFoundError("No master found"), True, "no sentinel knows a primary that is up"),
    (ConnectionResetError(104, "reset"), True, ""),
    (redis.NoScriptError("No matching script.", status_code="NOSCRIPT"), False, ""),
    (redis.ResponseError("unknown command"), False, ""),
)
# As Redis 6.2.14 words what happens inside a script.
IN_A_SCRIPT = (
    ("-OOM command not allowed when used memory > 'maxmemory'.", False, "out of memory (maxmemory)"),
    ("-READONLY You can't write against a read only replica.", True, "it is a read-only replica"),
    ("-MISCONF Errors writing to the AOF file: No space left on device", False, "cannot save to its disk"),
)


@pytest.mark.parametrize(("error", "again", "words"), WORDS)
def test_error_has_a_message_and_is_retried_if_transient(error: Exception, *, again: bool, words: str) -> None:
    assert is_transient(error) is again
    assert words in message_of(error)


@pytest.mark.parametrize(("text", "again", "words"), IN_A_SCRIPT)
def test_error_inside_a_script_of_an_old_redis_is_the_same_error(text: str, *, again: bool, words: str) -> None:
    error = redis.ResponseError(f"Error running script (call to f_e0): @user_script:1: @user_script: 1: {text} ")
    assert is_transient(error) is again
    assert words in message_of(error)


@pytest.mark.parametrize(("error", "again", "words"), WORDS)
def test_unreachable_cluster_names_the_cause(error: Exception, *, again: bool, words: str) -> None:
    outer = redis.RedisClusterException("Redis Cluster cannot be connected.")
    outer.__cause__ = error
    assert is_transient(outer) is again
    assert message_of(outer) == message_of(error)
    assert words in message_of(outer)


@pytest.mark.parametrize("kind", [redis.ResponseError, redis.ConnectionError, redis.AuthenticationError])
def test_data_sent_to_redis_is_never_in_a_message(kind: type[Exception]) -> None:
    assert SECRET not in message_of(kind(f"OOM value {SECRET}"))


def test_word_in_the_middle_of_a_message_is_not_a_code() -> None:
    assert (
        message_of(redis.ResponseError("wrong number of OOM and BUSY")) == "Redis cannot serve this now (ResponseError)"
    )


def message_of(error: Exception) -> str:
    with pytest.raises(UnavailableError) as caught, unavailable():
        raise error
    return str(caught.value)
