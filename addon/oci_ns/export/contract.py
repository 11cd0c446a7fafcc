"""What an export to another engine is told, and what it gives: the same for nginx, HAProxy and Envoy.

An engine's file, `<engine>.config`, has `export(tabulation, settings) -> Exported`. Nothing here knows an engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oci_ns.export.tabulation import Address

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where most systems have the authorities that they trust."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the engine listens: `host` is an IP address, IPv6 without brackets; '' for all addresses."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Something the engine cannot do: the rule in a few words, why, and the entry `FILE:LINE` it comes from ('')."""

    rule: str
    why: str
    entry: str = ""

    def __str__(self) -> str:
        return f"{self.entry + ': ' if self.entry else ''}{self.rule}: {self.why}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration of the engine has that registries.conf does not say."""

    listen: tuple[Listen, ...]
    certificate: str = ""
    """Path of a PEM file with the chain; '' to speak http. Its key is `key`, '' where the file has both."""
    key: str = ""
    destination: Address | None = None
    """What is addressed by a request whose host the table does not know, as with a reverse listener; None: refused."""
    authorities: str = AUTHORITIES
    """Path of a PEM file: whom to trust as an endpoint."""
    resolvers: tuple[str, ...] = ()
    """Name servers, host[:port], for engines that look names up themselves; () for those of the machine."""
    connect_seconds: int = 5
    response_seconds: int = 30
    allow_partial: bool = False
    """Whether what the engine cannot carry is left out, as a comment and a warning, instead of an error."""
    directory: str = "."
    """Where the files will be, for those that name others."""
    without_form: tuple[NotCarried, ...] = ()
    """What is asked for and no engine has a form for."""


class NotCarriedError(Exception):
    """The engine cannot carry all of the table, and `Settings.allow_partial` is not set."""

    def __init__(self, problems: Sequence[NotCarried]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Exported:
    """The engine's files by name, the main one first; and what was left out."""

    files: Mapping[str, str]
    left_out: tuple[NotCarried, ...] = ()
