"""Knows how ns-inject's metrics are read: sums of counters by name and labels."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from lab.registries import fetch


@dataclass(frozen=True, slots=True)
class Scrape:
    """The values of one scrape, by sample name and labels."""

    values: tuple[tuple[str, Mapping[str, str], float], ...]
    seconds: float
    """How long the answer took."""

    def total(self, name: str, **labels: str) -> int:
        """The sum of all samples of this name with these labels."""
        wanted = labels.items()
        return int(sum(value for each, has, value in self.values if each == name and wanted <= has.items()))


def scrape(port: int) -> Scrape:
    """Ask for the metrics. Raises OSError, or AssertionError where the answer is none."""
    begin = time.monotonic()
    answer = fetch(f"http://127.0.0.1:{port}/metrics", {"Accept": "text/plain"})
    assert answer.status == 200, f"the metrics answer {answer.status}"
    families = text_string_to_metric_families(answer.body.decode())
    values = tuple((each.name, dict(each.labels), each.value) for family in families for each in family.samples)
    return Scrape(values, time.monotonic() - begin)
