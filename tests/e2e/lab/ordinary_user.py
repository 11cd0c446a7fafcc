"""Knows an ordinary user: nobody's privileges, a home, and further ids (subuid(5)) for containers of his own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .network import SHORT_DIRECTORY, enter_private_network
from .process import require, run, unavailable

_NAME = "lab"
_TUN = Path("/dev/net/tun")
_KEPT = ("pause.pid", "rootless-netns-slirp4netns.pid")


class OrdinaryUser:
    """A user whom only the private network's /etc knows; a machine, as clients have it, on which he runs everything.

    His home is on the disk of `directory` and can be reached though that is closed to him.
    """

    uid = 4242
    first_further_id = 200_000
    further_ids = 65_536

    def __init__(self, directory: Path) -> None:
        for program in ("newuidmap", "newgidmap", "slirp4netns"):
            require(program)
        if not _TUN.exists():
            unavailable(f"there is no {_TUN}, by which a user's containers have a network")
        enter_private_network()
        # Private, too, and not below /run: that is another one where Podman makes a network for a user.
        self.home = Path("/dev/shm") / _NAME
        self.runtime = SHORT_DIRECTORY / "user"
        self._on_disk = directory / "home"
        self._owned: list[Path] = []

    def own(self, *paths: Path) -> None:
        """Give him files, and directories with all that is in them."""
        run([require("chown"), "--recursive", "--no-dereference", f"{self.uid}:{self.uid}", *paths])
        self._owned += paths

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` as this user."""
        become = [require("setpriv"), f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--inh-caps=-all"]
        told = [f"--chdir={self.home}", f"USER={_NAME}", f"XDG_RUNTIME_DIR={self.runtime}"]
        return [*become, "env", *told, *(str(part) for part in argv)]

    def __enter__(self) -> Self:
        ids = f"{_NAME}:{self.first_further_id}:{self.further_ids}\n"
        user, group = f"{_NAME}:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n", f"{_NAME}:x:{self.uid}:\n"
        for name, line in {"passwd": user, "group": group, "subuid": ids, "subgid": ids}.items():
            with Path("/etc", name).open("a") as file:
                file.write(line)
        for path in (self._on_disk, self.home, self.runtime):
            path.mkdir(parents=True, exist_ok=True)
        mount = require("mount")
        run([mount, "--bind", self._on_disk, self.home])
        self.own(self.home, self.runtime)
        self.runtime.chmod(0o700)
        # As udev has it on every machine where users have containers; here it may be root's alone.
        tun = SHORT_DIRECTORY / "tun"
        os.mknod(tun, 0o600 | 0o020000, _TUN.stat().st_rdev)
        tun.chmod(0o666)
        run([mount, "--bind", tun, _TUN])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Podman leaves processes that keep the user's namespaces, and their network, for the next command.
        for file in {each for path in self._owned for name in _KEPT for each in path.rglob(name)}:
            self._end(int(file.read_text()))
        for path in (_TUN, self.home):
            run([require("umount"), "--lazy", path])
        shutil.rmtree(self._on_disk, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
        (SHORT_DIRECTORY / "tun").unlink()

    def _end(self, process: int) -> None:
        # The number may be another's by now.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if f"\nUid:\t{self.uid}\t" in Path(f"/proc/{process}/status").read_text():
                os.kill(process, signal.SIGKILL)
