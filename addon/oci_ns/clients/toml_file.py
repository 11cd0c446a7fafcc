"""A TOML file of the machine as a table, or what is wrong with it."""

from __future__ import annotations

from typing import Any

from oci_ns.clients.plan import SetupError
from oci_ns.toml_pieces import TomlSyntaxError, parse_whole


def parsed(path: str, text: str) -> dict[str, Any]:
    """What is in the file. Raises SetupError where it is not TOML, or beyond what is read."""
    try:
        return parse_whole(text)
    except TomlSyntaxError as error:
        where = path if error.line is None else f"{path}:{error.line}"
        raise SetupError(f"{where}: is not valid TOML: {error}") from None
