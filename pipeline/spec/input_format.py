"""The formats of an input: their names, and how a key or a Content-Type tells them."""

from types import MappingProxyType
from typing import Literal, get_args

Format = Literal["csv", "tsv", "parquet", "ndjson", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
TITLES: MappingProxyType[Format, str] = MappingProxyType(
    {"csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "ndjson": "NDJSON", "json": "JSON"}
)
# The first of a format's is what its bytes are sent as.
CONTENT_TYPES: MappingProxyType[str, Format] = MappingProxyType(
    {
        "text/csv": "csv",
        "application/csv": "csv",
        "text/tab-separated-values": "tsv",
        "application/vnd.apache.parquet": "parquet",
        "application/x-ndjson": "ndjson",
        "application/ndjson": "ndjson",
        "application/jsonl": "ndjson",
    }
)
PACKINGS: MappingProxyType[bytes, str] = MappingProxyType({b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"})
_SUFFIXES: MappingProxyType[str, Format] = MappingProxyType(
    {
        "csv": "csv",
        "tsv": "tsv",
        "tab": "tsv",
        "parquet": "parquet",
        "pq": "parquet",
        "ndjson": "ndjson",
        "jsonl": "ndjson",
        "json": "json",
    }
)
_PACKED_SUFFIXES = (".gz", ".zst", ".zstd")


def format_of(name: str) -> Format:
    """Return the format that the name of a file or an object tells; `csv` where it tells none."""
    plain = name.lower()
    for suffix in _PACKED_SUFFIXES:
        plain = plain.removesuffix(suffix)
    _, dot, suffix = plain.rpartition("/")[2].rpartition(".")
    return _SUFFIXES.get(suffix if dot else "", "csv")


def content_type_of(form: Format) -> str:
    """Return the Content-Type as which the bytes of an input are sent."""
    return next((name for name, of in CONTENT_TYPES.items() if of == form), "application/json")
