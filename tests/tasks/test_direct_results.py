"""direct: answers of the model function may be large and encoded, up to a limit."""

import gzip

import orjson
import pytest
from backports import zstd

from pipeline.answers.reply import RESULT_LIMIT
from tests.rigs.function.direct_calls import Direct


async def test_large_result_is_stored_and_referenced(direct: Direct) -> None:
    await direct.submit("a", inline_limit="2000")
    await direct.work(lambda _: (200, b"x" * 5000))
    (entry,) = (await direct.pipeline.summary())["results"]["results"]
    assert await direct.pipeline.context.store.get(entry["resultRef"]) == orjson.dumps("x" * 5000)


async def test_result_over_the_limit_is_a_413(direct: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.modes.collect.RESULT_LIMIT", 100)
    await direct.submit("a", "b", attempts="1")
    sizes = iter([100, 101])
    await direct.work(lambda _: (200, b"1" * next(sizes)))
    summary = await direct.pipeline.summary()
    assert [entry["statusCode"] for entry in summary["failures"]["results"]] == [413]
    assert summary["results"]["count"] == 1


@pytest.mark.parametrize(
    ("encoding", "body", "result", "status"),
    [
        ("gzip", gzip.compress(b'"packed"'), "packed", 200),
        ("deflate", b"[" * 200_000, "the answer is not packed as its Content-Encoding says", 502),
        ("zstd", b"no zstd", "the answer is not packed as its Content-Encoding says", 502),
        ("zstd", zstd.compress(b"1" * (RESULT_LIMIT + 1)), "the result is over 32 MiB", 413),
        ("br", b"left as it is", "left as it is", 200),
    ],
    # Ids made from the bytes would hold the time that gzip writes, and differ between processes.
    ids=["gzip", "deflate", "zstd", "a large one", "br"],
)
async def test_encoded_answer_is_decoded_or_fails(
    direct: Direct, encoding: str, body: bytes, result: str, status: int
) -> None:
    await direct.submit("a", attempts="1")
    verdict = await direct.call_back(direct.calls.pop(0), 200, body, Content_Encoding=encoding)
    assert verdict == {"verdict": "settled"}
    await direct.work(lambda _: (200, b""))
    summary = await direct.pipeline.summary()
    (entry,) = summary["results"]["results"] + summary["failures"]["results"]
    assert (entry["statusCode"], entry["result"]) == (status, result)
