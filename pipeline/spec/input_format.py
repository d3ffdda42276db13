"""The formats of an input: their names, and how to tell them by a key or a Content-Type."""

from types import MappingProxyType
from typing import Literal, get_args

Format = Literal["csv", "tsv", "parquet", "ndjson", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
TITLES: MappingProxyType[Format, str] = MappingProxyType(
    {"csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "ndjson": "NDJSON", "json": "JSON"}
)
# The delimiters of the formats that are text.
DELIMITERS: MappingProxyType[Format, str] = MappingProxyType({"csv": ",", "tsv": "\t"})
# The first Content-Type of a format is the one that the client sends.
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
    """Return the format by the name of a file or an object; `csv` if the name has no known suffix."""
    plain = name.lower()
    for suffix in _PACKED_SUFFIXES:
        plain = plain.removesuffix(suffix)
    _, dot, suffix = plain.rpartition("/")[2].rpartition(".")
    return _SUFFIXES.get(suffix if dot else "", "csv")


def content_type_of(form: Format) -> str:
    """Return the Content-Type to send an input of this format with."""
    return next((name for name, of in CONTENT_TYPES.items() if of == form), "application/json")
