"""The other repository of a cross-repository mount, which is named to the endpoint as the endpoint names it.

Source: distribution-spec, "Mounting a blob from another repository".
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_plus

from oci_ns.distribution import escape_namespace


def with_mount_renamed(query: str | None, renamed: Callable[[str], str | None]) -> str | None:
    """The query of an upload with its `from` as `renamed` has that repository; the rest keeps its every byte.

    Where `renamed` knows none, the blob is not at that endpoint: `mount` and `from` are left out, so that a normal
    upload begins (the spec's 202, as where a registry cannot mount).
    """
    if not query or "from" not in query:
        return query
    parameters = [(unquote_plus(each.partition("=")[0]), each) for each in query.split("&")]
    if "from" not in dict(parameters):
        return query
    kept = []
    for name, each in parameters:
        if name != "from":
            kept.append(each)
            continue
        repository = renamed(unquote_plus(each.partition("=")[2], errors="surrogateescape"))
        if repository is None:
            return "&".join(other for key, other in parameters if key not in ("mount", "from")) or None
        kept.append(f"from={escape_namespace(repository)}")
    return "&".join(kept)
