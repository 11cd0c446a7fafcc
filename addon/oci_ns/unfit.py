"""Requests that two servers may read differently, which is how one request is smuggled in another: never sent on.

mitmproxy refuses what makes the length of a body doubtful; this is about methods, targets, paths that mislead, hosts
and control characters. Sources: RFC 9110, section 5.5 (field values) and 9.1 (methods), RFC 9112, section 3.2 (targets
and Host) and 5.2 (line folding), RFC 9113, section 8.3.1 (HTTP/2), RFC 3986, section 3.3 (paths).
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from oci_ns.fetch import Fields
from oci_ns.header_fields import HeaderFields
from oci_ns.spec_error import SpecError

PULL_BODY_MAX = 2**20
"""In bytes. By the distribution API a pull has no body, and what it would mean is nowhere defined (RFC 9110, 9.3.1)."""
_is_target = re.compile(r"[^\x00-\x20#\x7f]*").fullmatch
_is_method = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_parameters = re.compile(r";[^/]*")
_has_control = re.compile(rb"[\x00\n\x0b\x0c\r]").search
_DOTS = frozenset({".", ".."})


def refusal(method: str, target: str, fields: Fields, by_name: HeaderFields, authority: str | None) -> SpecError | None:
    """The answer to a request for `target` that is not sent on; None where it is.

    `fields` are its header fields and `by_name` the same. `authority` is the :authority of a request by HTTP/2 or
    later, None of any other. No value is quoted.
    """
    # By HTTP/2 there may be anything in either; by HTTP/1 it would be sent on as it is.
    if _is_method(method) is None:
        return _refused("its method is none")
    if target and target[0] not in "/*":
        return _refused("its target is no path")
    if _is_target(target) is None:
        return _refused("there is a space, a # or a control character in its target")
    if _is_misleading(target.partition("?")[0]):
        return SpecError(404, "NAME_INVALID", "the request is not sent on: its path is another than it seems to be")
    length = by_name.get("content-length") or ""
    if is_pull(method, target) and length.isdecimal() and int(length) > PULL_BODY_MAX:
        return SpecError(413, "UNSUPPORTED", f"a pull with a body of more than {PULL_BODY_MAX // 2**10} KiB")
    host = by_name.get("host")
    if host is not None:
        # Several fields of one name are one value with commas, of which no host has any.
        if "," in host:
            return _refused("it has more than one Host")
        if authority and host.lower() != authority.lower():
            return _refused("its Host is not its :authority")
    if _has_control(b"".join([value for _, value in fields])) is None:
        return None
    name = next(name for name, value in fields if _has_control(value)).decode("ascii", "replace")
    return _refused(f"there is a line break or another control character in {name}")


def is_pull(method: str, target: str) -> bool:
    """Whether a request asks for something of the distribution API, with which nothing is sent."""
    return method in ("GET", "HEAD") and target.startswith("/v2/")


def _refused(reason: str) -> SpecError:
    return SpecError(400, "UNSUPPORTED", f"the request is not sent on: {reason}")


def _is_misleading(path: str) -> bool:
    """Whether some servers find another path than stands there, and either of the two is below /v2.

    They resolve dot segments, take several slashes, or a backslash, for one (RFC 3986, section 6.2.2.3), or leave out
    the parameters of a segment (section 3.3), which no name of the distribution API has.
    """
    if path.startswith("/v2") and "/." not in path and "%" not in path and "\\" not in path and ";" not in path:
        return False
    decoded = _decoded(path)
    plain = _decoded(_parameters.sub("", path)) if ";" in path else decoded
    resolved = f"/{posixpath.normpath(plain).lstrip('/')}"
    if not any(each == "/v2" or each.startswith("/v2/") for each in (resolved, decoded)):
        return False
    return plain != decoded or not decoded.startswith("/v2") or not _DOTS.isdisjoint(plain.split("/"))


def _decoded(path: str) -> str:
    return unquote(path, errors="replace").replace("\\", "/")
