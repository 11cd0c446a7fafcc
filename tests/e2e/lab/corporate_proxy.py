"""Knows a forward proxy as companies have them: tinyproxy, that everything has to go through, perhaps with a login."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .process import Daemon, clean_env, free_port, listens, require, run


class CorporateProxy:
    """The proxy; `login` is user and password, None where it asks for none."""

    def __init__(self, directory: Path, login: tuple[str, str] | None = None) -> None:
        directory.mkdir(parents=True)
        self.port = free_port()
        self.login = login
        self.log_path = directory / "tinyproxy.log"
        lines = [
            f"Port {self.port}",
            "Listen 127.0.0.1",
            f'LogFile "{self.log_path}"',
            "LogLevel Connect",
            "Timeout 60",
        ]
        lines += [f"BasicAuth {login[0]} {login[1]}"] if login is not None else []
        config = directory / "tinyproxy.conf"
        config.write_text("\n".join([*lines, ""]))
        self.daemon = Daemon(
            "corporate proxy",
            [require("tinyproxy"), "-d", "-c", config],
            log=directory / "output.log",
            ready=lambda: listens(self.port, "127.0.0.1"),
            env=clean_env(directory),
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self) -> list[str]:
        """The request lines it was sent."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [line.split("): ", 1)[1] for line in lines if "Request (" in line]


@contextlib.contextmanager
def no_way_out_for(user: int, *addresses: str) -> Iterator[None]:
    """Let no process of a user connect to these addresses."""
    rules = [
        ["OUTPUT", "-p", "tcp", "-d", address, "-m", "owner", "--uid-owner", str(user), "-j", "REJECT"]
        for address in addresses
    ]
    for rule in rules:
        run([require("iptables"), "-A", *rule])
    try:
        yield
    finally:
        for rule in rules:
            run([require("iptables"), "-D", *rule])
