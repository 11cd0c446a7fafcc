"""hosts(5) with the registries' names leading to ns-inject: a block of lines of its own among all others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oci_ns.clients.plan import SetupError

PATH = "/etc/hosts"
_BEGIN, _END = "# ns-inject client: begin", "# ns-inject client: end"
_BLOCK = re.compile(rf"^{_BEGIN}\n.*?^{_END}\n", re.MULTILINE | re.DOTALL)


def with_names(text: str, address: str, names: Sequence[str]) -> str:
    """The file with these names for the address and no others of ours; no block where there are no names.

    Raises SetupError where another line has one of the names.
    """
    rest = _BLOCK.sub("", text)
    if _BEGIN in rest:
        raise SetupError(f"{PATH} has {_BEGIN!r} without its end: take it out by hand")
    if not names:
        return rest
    for number, line in enumerate(rest.splitlines(), 1):
        taken = set(line.partition("#")[0].lower().split()[1:]) & set(names)
        if taken:
            raise SetupError(
                f"{PATH} has {min(taken)} already ({line.strip()!r}, line {number} without our own): take it out"
            )
    block = "".join(f"{line}\n" for line in (_BEGIN, *(f"{address} {name}" for name in names), _END))
    match = _BLOCK.search(text)
    if match is not None:
        return text[: match.start()] + block + _BLOCK.sub("", text[match.end() :])
    return f"{rest}{'' if rest.endswith(chr(10)) or not rest else chr(10)}{block}"
