"""`ns-inject serve`: its flags, help and exit statuses. It is done in `serving.runner` and `serving.supervisor`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from oci_ns.completion import Declared, addon_options, complete_assignment
from oci_ns.serving.options import FLAGS, LEFT_OUT_FLAGS, CommandLine, Flag, Show, left_out
from oci_ns.serving.service_manager import ServiceManager
from oci_ns.serving.unchecked import uncheck

_MODES = ("regular", "transparent", "socks5", "reverse:", "upstream:")
_WORKERS_MAX = 1024


class _Slip(click.UsageError):
    """A command line that cannot be, with the status that mitmdump has for it."""

    exit_code = 1


class _Command(click.Command):
    """A command that names what only mitmdump has, and lists the addon's options."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            only_mitmdump = error.option_name in LEFT_OUT_FLAGS
            text = left_out(error.option_name) if only_mitmdump else error.format_message()
            raise _Slip(text, context) from None
        except click.UsageError as error:
            raise _Slip(error.format_message(), context) from None

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("ns-inject's options for --set"):
            formatter.write_dl([(name, _help_of(option)) for name, option in addon_options().items()])
        super().format_epilog(context, formatter)


def _help_of(option: Declared) -> str:
    default = f" Default: {option.default}." if option.default and "Default: " not in option.text else ""
    return option.text + default


def _workers(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """How many processes."""
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _WORKERS_MAX:
        return int(text)
    raise click.BadParameter(f"{text!r} is neither auto nor a number from 1 to {_WORKERS_MAX}")


def _complete_workers(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem("auto")] if "auto".startswith(incomplete) else []


def _complete_mode(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(mode) for mode in _MODES if mode.startswith(incomplete)]


def _option(flag: Flag) -> Callable[[Callable[..., None]], Callable[..., None]]:
    names = [name for name in (flag.short, flag.name) if name]
    if flag.kind == "switch":
        names[-1] += f"/--no-{flag.name.removeprefix('--')}"
        return click.option(*names, flag.option, default=None, help=flag.text)
    completes = {"file": lambda _context, _parameter, typed: [CompletionItem(typed, type="file")]}.get(flag.completes)
    return click.option(
        *names,
        flag.option,
        type=int if flag.kind == "number" else str,
        multiple=flag.kind == "list",
        metavar=flag.metavar,
        shell_complete=_complete_mode if flag.option == "mode" else completes,
        help=flag.text,
    )


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    for flag in reversed(FLAGS):
        command = _option(flag)(command)
    return command


@click.command(cls=_Command, short_help="Run the proxy without mitmdump, faster.")
@_flags
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="OPTION[=VALUE]",
    shell_complete=complete_assignment,
    help="Any option of mitmproxy, of ns-inject (below) or of a script. May be given several times.",
)
@click.option(
    "--workers",
    default="1",
    callback=_workers,
    shell_complete=_complete_workers,
    metavar="NUMBER|auto",
    help="Processes behind one port; auto: one for each processor. Default: 1.",
)
@click.option(
    "--drain",
    type=click.IntRange(min=0),
    default=0,
    metavar="SECONDS",
    help="How long requests that are under way may go on after a SIGTERM, when nothing new is taken any more. "
    "Default: 0, they are cut off.",
)
@click.option("-q", "--quiet", is_flag=True, help="Log errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--options", "show", flag_value="options", help="Show all options and their defaults, as YAML.")
@click.option("--commands", "show", flag_value="commands", help="Show mitmproxy's commands.")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="")
def serve(
    assignments: tuple[str, ...],
    workers: int,
    drain: int,
    quiet: bool,
    verbose: bool,
    show: Show | None,
    rest: tuple[str, ...],
    **values: Any,
) -> None:
    """Run the proxy, as `mitmdump -s "$(ns-inject addon-path)"` does, with no more of mitmproxy than a proxy needs.

    Modes, options, config.yaml, log, signals (SIGHUP reads the configuration again) and exit statuses are mitmdump's.
    It answers about a third more small requests, and has --workers. It shows no flows: the log has a line for each
    decision and each pull. It neither replays nor edits bodies nor saves HAR; for these, use mitmdump.

    \b
    Examples:
      ns-inject serve --set ns_registries_conf=registries.conf
      ns-inject serve --mode reverse:http://proxy.example.com:5000@8081 --set ns_default=docker.io
      ns-inject serve --mode transparent@8080 --set ns_registries_conf=system
      ns-inject serve --workers auto --set ns_metrics=127.0.0.1:9410
      ns-inject serve -q --set ns_log_json=- --set ns_metrics=127.0.0.1:9410

    SIGTERM ends it as --drain says, SIGINT and a second SIGTERM at once.

    Exit status: 0 after SIGINT or SIGTERM; 1 the start failed.
    """
    context = click.get_current_context()
    if rest:
        raise _Slip(f"serve takes no filter: {' '.join(rest)}", context)
    for path in values["scripts"]:
        if Path(path).name == "ns_inject.py":
            raise _Slip(f"serve has ns-inject already: leave out -s {path}", context)
    given = {name: value for name, value in values.items() if value not in (None, ())}
    _run(CommandLine(assignments, given, quiet, verbose, show or "", drain), workers)


def _run(command: CommandLine, workers: int) -> None:
    manager = ServiceManager.of(os.environ)
    # Only here: mitmproxy takes its time to be imported.
    if workers == 1 or command.show:
        uncheck()
        from oci_ns.assembly import assemble  # noqa: PLC0415
        from oci_ns.serving.runner import run  # noqa: PLC0415

        run(command, assemble, ready=lambda _: manager.ready(), stopping=manager.stopping)
        return
    from oci_ns.serving.line_log import log_as_mitmdump  # noqa: PLC0415
    from oci_ns.serving.supervisor import Supervisor  # noqa: PLC0415

    use_verbosity = log_as_mitmdump()

    async def supervise() -> int:
        return await Supervisor(command, workers, use_verbosity, manager).run()

    sys.exit(asyncio.run(supervise()))
