"""Knows all rows, in the order in which they are measured and shown."""

from __future__ import annotations

from typing import Final

from . import blobs, decisions, endurance, exported, exports, large_tables, pulls, small_requests
from .bench import Row

ROWS: Final[dict[str, Row]] = {
    row.name: row
    for row in (
        small_requests.ROW,
        decisions.ROW,
        large_tables.ROW,
        exports.ROW,
        blobs.PLAIN_ROW,
        blobs.TLS_ROW,
        exported.ROW,
        pulls.SKOPEO_ROW,
        pulls.CROWD_ROW,
        pulls.DOCKER_ROW,
        endurance.ROW,
    )
}
