"""Knows the one rewrite that all peers do: what is asked for, and what has to arrive."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "quay.io"

REGISTRIES: Final = (
    "docker.io",
    NAMESPACE,
    "ghcr.io",
    "gcr.io",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "registry.gitlab.com",
    "nvcr.io",
    "cgr.dev",
)
"""The registries of the table."""


def asked(rest: str) -> str:
    """The request target a client sends: the registry named in the path, no `ns`."""
    return f"/v2/{NAMESPACE}/{rest}"


def wanted(rest: str) -> str:
    """The request target that has to arrive."""
    return f"/v2/{rest}?ns={NAMESPACE}"


def registries_conf(authority: str, *, plain: bool) -> str:
    """A registries.conf in which every registry has one mirror, at `authority`, with its own namespace."""
    return "\n".join(
        f'[[registry]]\nprefix = "{name}"\nlocation = "{name}"\n'
        f'[[registry.mirror]]\nlocation = "{authority}"\nnamespace-proxy = "{name}"\n'
        f"plain-http = {str(plain).lower()}\n"
        for name in REGISTRIES
    )
