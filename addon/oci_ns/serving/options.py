"""Which of mitmdump's flags and options `ns-inject serve` has, which it has not, and what a command line asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["text", "number", "list", "switch"]


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of mitmdump, for an option of mitmproxy's. A `switch` is `--name/--no-name`, a `list` may be repeated."""

    option: str
    kind: Kind
    text: str
    short: str = ""
    metavar: str = ""
    completes: Literal["", "file"] = ""

    @property
    def name(self) -> str:
        """The flag as it is written."""
        return f"--{self.option.replace('_', '-')}"


FLAGS = (
    Flag(
        "mode",
        "list",
        "What to listen as, with or without [ADDRESS:]PORT: regular, transparent, socks5, reverse:URL, upstream:URL. "
        "May be given several times. Default: regular, on port 8080.",
        "-m",
        "MODE[@[ADDRESS:]PORT]",
    ),
    Flag("listen_host", "text", "Address to listen on, where the mode names none. Default: all.", "", "HOST"),
    Flag("listen_port", "number", "Port to listen on, where the mode names none.", "-p", "PORT"),
    Flag("scripts", "list", "A mitmproxy script to run beside, after ns-inject.", "-s", "FILE", "file"),
    Flag("save_stream_file", "text", "Write what goes by to FILE; '+FILE' appends.", "-w", "FILE", "file"),
    Flag("ssl_insecure", "switch", "Do not verify any server's certificate.", "-k"),
    Flag("certs", "list", "A certificate to show to clients: [DOMAIN=]FILE.", "", "SPEC"),
    Flag("cert_passphrase", "text", "Its passphrase.", "", "PASS"),
    Flag("proxyauth", "text", "What clients log in with: USER:PASS, any, @HTPASSWD, ldap:...", "", "SPEC"),
    Flag("upstream_auth", "text", "What to log in with at the upstream proxy or the reverse target.", "", "USER:PASS"),
    Flag("ignore_hosts", "list", "Pass connections to such hosts through unread (a regular expression).", "", "HOST"),
    Flag("allow_hosts", "list", "Pass connections to all but such hosts through unread.", "", "HOST"),
    Flag("tcp_hosts", "list", "Decrypt connections to such hosts, but do not read them as HTTP.", "", "HOST"),
    Flag("http2", "switch", "Whether to speak HTTP/2. Default: yes."),
    Flag("rawtcp", "switch", "Whether to pass on what is not HTTP. Default: yes."),
    Flag("anticomp", "switch", "Whether to ask servers for uncompressed answers."),
    Flag("map_remote", "list", "Replace what a pattern matches in URLs.", "-M", "PATTERN"),
    Flag("modify_headers", "list", "Replace header fields.", "-H", "PATTERN"),
)

LEFT_OUT_FLAGS = frozenset(
    {
        "--version",
        *("-r", "--rfile", "-n", "--no-server", "--server", "--flow-detail"),
        *("--anticache", "--no-anticache", "--showhost", "--no-showhost"),
        *("--show-ignored-hosts", "--no-show-ignored-hosts", "--store-streamed-bodies", "--no-store-streamed-bodies"),
        *("--stickycookie", "--stickyauth", "--map-local", "-B", "--modify-body"),
        *("-C", "--client-replay", "-S", "--server-replay", "--server-replay-extra"),
        *("--server-replay-kill-extra", "--no-server-replay-kill-extra"),
        *("--server-replay-reuse", "--no-server-replay-reuse"),
        *("--server-replay-refresh", "--no-server-replay-refresh"),
    }
)
"""mitmdump has them."""

LEFT_OUT_OPTIONS = frozenset(
    {
        *("anticache", "client_replay", "client_replay_concurrency", "command_history", "dumper_default_contentview"),
        *("dumper_filter", "export_preserve_original_ip", "flow_detail", "hardump", "keepserving", "map_local"),
        *("modify_body", "onboarding", "onboarding_host", "readfile_filter", "rfile"),
        *("server_replay", "server_replay_extra", "server_replay_ignore_content", "server_replay_ignore_host"),
        *("server_replay_ignore_params", "server_replay_ignore_payload_params", "server_replay_ignore_port"),
        *("server_replay_kill_extra", "server_replay_nopop", "server_replay_refresh", "server_replay_reuse"),
        *("server_replay_use_headers", "stickyauth", "stickycookie"),
    }
)
"""mitmdump has them, for addons that the runner is without."""

Show = Literal["", "options", "commands"]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What a command line asks for. `assignments` are those of --set, `values` those of FLAGS, by their options.

    `drain` is how many seconds what is under way may take when SIGTERM comes.
    """

    assignments: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    quiet: bool = False
    verbose: bool = False
    show: Show = ""
    drain: int = 0

    def to_json(self) -> str:
        """As text, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CommandLine:
        """What `to_json` gave."""
        found = json.loads(text)
        return cls(tuple(found.pop("assignments")), **found)


def left_out(what: str) -> str:
    """The message about a flag or option that mitmdump has and serve has not."""
    return f'serve has no {what}, mitmdump has: mitmdump -s "$(ns-inject addon-path)" ...'
