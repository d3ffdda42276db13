"""Requests are counted from the metrics of S3."""

from bench.kit.counters import s3_requests


def test_requests_are_counted_by_the_group_of_their_price() -> None:
    metrics = "\n".join(
        f'SeaweedFS_s3_request_total{{bucket="b",code="{code}",type="{kind}"}} {count}'
        for code, kind, count in [
            *[(200, "GET", 3), (404, "GET", 1), (200, "HEAD", 1), (204, "DELETE", 7)],
            *[(200, "PUT", "1e+06"), (200, "POST", 2), (200, "COPY", 3), (200, "LIST", 4)],
        ]
    )
    other = 'SeaweedFS_s3_request_seconds_count{bucket="b",type="GET"} 50'

    assert s3_requests(f"{metrics}\n{other}\n") == {"get": 5, "put": 1_000_009, "delete": 7}
    assert s3_requests("") == {"get": 0, "put": 0, "delete": 0}
