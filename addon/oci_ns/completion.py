"""What the shell completes: the addon's options after `--set`, and bash's way of taking a word apart at `=`.

The protocol is click's (`_NS_INJECT_COMPLETE`); the option names, help texts and choices are those of `options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from oci_ns.options import declare

if TYPE_CHECKING:
    from mitmproxy.addonmanager import Loader

PROGRAM = "ns-inject"
VARIABLE = "_NS_INJECT_COMPLETE"
SHELLS = ("bash", "zsh", "fish")

_FILES = {
    "ns_registries_conf": "file",
    "ns_registries_conf_d": "dir",
    "ns_authfile": "file",
    "ns_certs_d": "dir",
    "ns_log_json": "file",
}


class Declared(NamedTuple):
    """An option of the addon: its help text, the values it may have (none: any), and its default as it is written."""

    text: str
    choices: tuple[str, ...]
    default: str


@dataclass(slots=True)
class _Loader:
    """Stands in for mitmproxy's loader: keeps what is declared, so that no name is written twice."""

    options: dict[str, Declared] = field(default_factory=dict)

    def add_option(self, name: str, kind: Any, default: Any, text: str, choices: Sequence[str] | None = None) -> None:
        is_switch = kind is bool
        values = tuple(choices or (("true", "false") if is_switch else ()))
        self.options[name] = Declared(text, values, str(default).lower() if is_switch else str(default))


def addon_options() -> dict[str, Declared]:
    """The options of the addon by name, as it declares them."""
    loader = _Loader()
    declare(cast("Loader", loader))
    return loader.options


def complete_assignment(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`OPTION=` for the beginning of a name, then the option's choices, its files, or nothing."""
    options = addon_options()
    name, equals, value = incomplete.partition("=")
    if not equals:
        return [
            CompletionItem(f"{option}=", help=declared.text.partition(". ")[0])
            for option, declared in options.items()
            if option.startswith(incomplete)
        ]
    if name in _FILES:
        return [CompletionItem(value, type=_FILES[name])]
    choices = options[name].choices if name in options else ()
    return [CompletionItem(f"{name}={choice}") for choice in choices if choice.startswith(value)]


_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' response kind value
    response=$(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1)
    for completion in $response; do
        IFS=',' read -r kind value <<< "$completion"
        case $kind in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("$value"); [[ $value == *= ]] && compopt -o nospace ;;
        esac
    done
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion for bash, which hands over `a=b` as three words and wants back only what follows the `=`."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to be completed, and that one, each `a = b` as one word again."""
        words, incomplete = super().get_completion_args()
        joined: list[str] = []
        for word in (*words, incomplete):
            if joined and (word == "=" or joined[-1].endswith("=")) and not joined[-1].startswith("="):
                joined[-1] += word
            else:
                joined.append(word)
        return joined[:-1], joined[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """`TYPE,VALUE` as the script above reads it; a value that is more than a name, without the name."""
        value = str(item.value)
        name, equals, rest = value.partition("=")
        return f"{item.type},{rest if equals and rest and not name.startswith('-') else value}"


add_completion_class(Bash)
