"""Knows a machine with files of its own: a copy of /etc that programs on it see as theirs, and nobody else does."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

from click.testing import CliRunner, Result

from oci_ns.cli.main import main

from .clients import PODMAN_SETTINGS
from .network import enter_private_network
from .process import clean_env, require, run

_SHARED = ("etc", "usr/local/share/ca-certificates")
_ENTER = "".join(f'mount --bind "$0/{path}" /{path} && ' for path in _SHARED) + 'exec "$@"'
_ENVIRONMENT = re.compile(r"^Environment=(.*)$", re.MULTILINE)


class ScratchRoot:
    """The root of a machine, for clients and for those who set them up. It shares the private network."""

    def __init__(self, directory: Path) -> None:
        enter_private_network()
        self.directory = directory / "root"
        self._home = directory / "home"
        self._home.mkdir()
        for path in _SHARED:
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            run([require("cp"), "--archive", f"/{path}", self.directory / path])
        self.path("/etc/containers/containers.conf").write_text(PODMAN_SETTINGS)
        # Nobody is trusted yet.
        self.path("/etc/ca-certificates.conf").write_text("")
        shutil.rmtree(self.path("/etc/ssl/certs"))
        self.path("/etc/ssl/certs").mkdir()

    def path(self, path: str) -> Path:
        """Where a file of the machine is to be found from outside."""
        return self.directory / path.lstrip("/")

    def write(self, path: str, text: str) -> Path:
        """Write a file of the machine."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs ``argv`` on the machine."""
        enter = [require("unshare"), "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(self.directory)]
        return [*enter, *(str(part) for part in argv)]

    def run(self, argv: Sequence[str | Path]) -> CompletedProcess[str]:
        """Run a program on the machine to its end."""
        return run(self.command(argv), env=clean_env(self._home), timeout=60.0)

    def ns_inject(self, *arguments: str | Path) -> Result:
        """Run ns-inject for the machine, from outside; whatever its exit status."""
        return CliRunner().invoke(main, [*(str(part) for part in arguments), "--root", str(self.directory)])

    def service_environment(self, service: str) -> dict[str, str]:
        """The variables that the drop-ins of a systemd service set."""
        found: dict[str, str] = {}
        for drop_in in sorted(self.path(f"/etc/systemd/system/{service}.service.d").glob("*.conf")):
            for line in _ENVIRONMENT.findall(drop_in.read_text()):
                found |= dict(word.split("=", 1) for word in shlex.split(line))
        return found
