"""The metrics of a process, read as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

Counts = dict[str, float]


def parse(exposition: bytes | str) -> Counts:
    """Return every sample by `name{label=value}`, without the prefix pipeline_."""
    text = exposition.decode() if isinstance(exposition, bytes) else exposition
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {_name(sample.name.removeprefix("pipeline_"), sample.labels): sample.value for sample in samples}


def _name(name: str, labels: dict[str, str]) -> str:
    return name + (f"{{{','.join(f'{label}={value}' for label, value in sorted(labels.items()))}}}" if labels else "")


def rises(before: Counts, after: Counts) -> Counts:
    """Return the counters of the pipeline that rose between two readings, with their increases."""
    counters = [name for name in after if name.split("{")[0].endswith("_total")]
    own = [name for name in counters if not name.startswith(("process_", "python_"))]
    return {name: after[name] - before.get(name, 0) for name in own if after[name] != before.get(name, 0)}
