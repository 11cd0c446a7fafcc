"""A document in YAML, one scalar on each line as JSON has it, and code as it stands; Envoy's typed parts of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Value = str | int | bool | Mapping[str, Any] | Sequence[Any]
API = "type.googleapis.com/envoy."
"""What the names of Envoy's types begin with."""


def typed(name: str, kind: str, **fields: Value) -> dict[str, Value]:
    """An extension of Envoy's: its name, its type's, and what it is told."""
    return {"name": name, "typed_config": {"@type": API + kind, **fields}}


def write(value: Mapping[str, Value], depth: int, blocks: Mapping[str, list[str]], lines: list[str]) -> None:
    """The value in YAML, its scalars in JSON, which is YAML too; `blocks` has the code by what stands for it."""
    margin = "  " * depth
    for key, each in value.items():
        begin = f"{margin}{key if key.isidentifier() else json.dumps(key)}:"
        if key == "inline_string" and isinstance(each, str):
            lines.append(f"{begin} |2")
            lines += [f"{margin}  {line}".rstrip() for line in blocks[each]]
        elif isinstance(each, Mapping) and each:
            lines.append(begin)
            write(each, depth + 1, blocks, lines)
        elif isinstance(each, Sequence) and any(isinstance(item, Mapping) for item in each):
            lines.append(begin)
            for item in each:
                if not isinstance(item, Mapping):
                    raise TypeError("a list is of mappings or of scalars")
                at = len(lines)
                write(item, depth + 2, blocks, lines)
                lines[at] = f"{margin}  - {lines[at].lstrip()}"
        else:
            lines.append(f"{begin} {json.dumps(each, ensure_ascii=False)}")
