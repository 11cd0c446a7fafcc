"""The other repository of a cross-repository mount, which moves to the endpoint as the request's own repository does.

Source: distribution-spec, "Mounting a blob from another repository".
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from oci_ns.distribution import Moved, escape_namespace


def with_mount_moved(query: str | None, moved: Moved) -> str | None:
    """The query of an upload with its `from` as the endpoint calls that repository; the rest keeps its every byte.

    Where the repository does not lie under what is moved, the endpoint has no name for it: `mount` and `from` are left
    out, so that a normal upload begins (the spec's 202, as where a registry cannot mount).
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
        repository = _moved(unquote_plus(each.partition("=")[2], errors="surrogateescape"), moved)
        if repository is None:
            return "&".join(other for key, other in parameters if key not in ("mount", "from")) or None
        kept.append(f"from={escape_namespace(repository)}")
    return "&".join(kept)


def _moved(repository: str, moved: Moved) -> str | None:
    client, endpoint = unquote_plus(moved.client), unquote_plus(moved.endpoint)
    if client:
        if not repository.startswith(f"{client}/"):
            return None
        repository = repository[len(client) + 1 :]
    return f"{endpoint}/{repository}" if endpoint else repository
