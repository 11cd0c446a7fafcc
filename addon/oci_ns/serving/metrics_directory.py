"""Metrics of several processes: prometheus-client keeps them in files of one directory, from which one process serves.

Knows nothing of what is measured. prometheus-client reads the variable when it is imported first.
"""

from __future__ import annotations

import os

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def use_directory(worker: int) -> None:
    """Keep this process's metrics in the directory that the environment names, in place of a former worker's.

    A worker that is started again goes on where the one before it with its number ended: no total falls, and there are
    no more files than workers.
    """
    if DIRECTORY not in os.environ:
        return
    try:
        from prometheus_client import values  # noqa: PLC0415
    except ImportError:
        return
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
