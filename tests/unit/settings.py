"""The addon's options for tests, with the addon's defaults."""

from __future__ import annotations

from dataclasses import replace

from oci_ns.cli.shared import Settings


def settings(**values: str) -> Settings:
    """Options with `values` in place of their defaults; an unknown name is an error."""
    return replace(Settings(), **values)
