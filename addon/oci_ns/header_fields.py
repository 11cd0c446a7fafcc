"""The header fields of one message, for whoever looks up several of them.

mitmproxy's own `Headers` looks through all fields at each look-up. What it says here is what it says there.
"""

from __future__ import annotations

from oci_ns.fetch import Fields


class HeaderFields:
    """Header fields by name, in any case; several of one name are one value (RFC 9110, section 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, fields: Fields) -> None:
        values: dict[bytes, bytes] = {}
        several: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            key = name.lower()
            if key in values:
                several.setdefault(key, [values[key]]).append(value)
            else:
                values[key] = value
        for key, each in several.items():
            values[key] = b", ".join(each)
        self._values = values

    def get(self, name: str) -> str | None:
        """The value; None where there is no such field."""
        value = self._values.get(name.lower().encode())
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def has(self, name: bytes) -> bool:
        """Whether there is a field of this name, which is in lower case."""
        return name in self._values
