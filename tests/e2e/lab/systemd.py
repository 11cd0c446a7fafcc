"""Knows how to run a real systemd, as process 1 of a process namespace of its own, with nothing but given units.

It has control groups of its own as well, so that it cannot meet with what manages the machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from .process import Daemon, clean_env, require, run, unavailable, wait_until

_PROGRAM = Path("/lib/systemd/systemd")
_TARGET = "lab.target"
_DEFAULTS = dict.fromkeys((_TARGET, "sysinit.target", "basic.target"), "[Unit]\nDescription=Nothing\n")
"""What units want that say nothing about it, and it is told to start."""
_GROUPS = Path("/sys/fs/cgroup")

_numbers = itertools.count(1)


class Systemd:
    """A running systemd. `units` are texts by name, `mounts` what it sees of this machine at other places."""

    def __init__(self, directory: Path, units: Mapping[str, str], mounts: Mapping[str, Path]) -> None:
        if not _PROGRAM.exists():
            require("systemd")
        directory = directory / f"systemd-{next(_numbers)}"
        self._units = directory / "units"
        for name, text in {**_DEFAULTS, **units}.items():
            path = self._units / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        script = directory / "start"
        script.write_text("\n".join(_preparations(mounts)) + f"\nexec {_PROGRAM} --system --unit={_TARGET}\n")
        self._group = _own_group()
        alone = ("--pid", "--fork", "--mount", "--cgroup", "--uts", "--ipc", "--mount-proc", "--kill-child")
        joined = f'echo $$ >{self._group}/cgroup.procs && exec "$@"'
        self._env = clean_env(directory, container="lab", SYSTEMD_UNIT_PATH=str(self._units))
        self._daemon = Daemon(
            "systemd",
            ["/bin/sh", "-c", joined, "sh", require("unshare"), *alone, "/bin/sh", "-e", script],
            log=directory / "systemd.log",
            ready=self._is_ready,
            env=self._env,
        )

    def _is_ready(self) -> bool:
        with contextlib.suppress(IndexError):
            return self.systemctl("is-active", _TARGET, check=False).stdout == "active\n"
        return False

    def _inside(self) -> str:
        return Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children").read_text().split()[0]

    def systemctl(self, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        """Tell it something."""
        return self.run("systemctl", "--no-pager", *arguments, check=check)

    def run(self, program: str, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        """Run a program where it is."""
        place = [require("nsenter"), f"--target={self._inside()}", "--mount", "--pid", "--cgroup"]
        return run([*place, require(program), *arguments], env=self._env, check=check)

    def __enter__(self) -> Self:
        self._daemon.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It does not heed SIGTERM as others do, and all there is ends with it.
        self._daemon.stop(grace=0)
        wait_until(self._is_gone, "nothing is left of its control groups")

    def _is_gone(self) -> bool:
        # What is killed keeps its group for a moment.
        for path, _, _ in os.walk(self._group, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
        return not self._group.exists()


def _own_group() -> Path:
    hierarchy = _GROUPS / "systemd" if (_GROUPS / "systemd").is_dir() else _GROUPS
    group = hierarchy / f"ns-inject-lab-{os.getpid()}-{next(_numbers)}"
    try:
        group.mkdir()
    except OSError as error:
        unavailable(f"no control group can be made here, which systemd needs: {error}")
    return group


def _preparations(mounts: Mapping[str, Path]) -> list[str]:
    lines = ["mount -t tmpfs -o mode=755 tmpfs /run"]
    if (_GROUPS / "systemd").is_dir():
        lines += [f"mount -t tmpfs -o mode=755 tmpfs {_GROUPS}", f"mkdir {_GROUPS}/systemd"]
        lines += [f"mount -t cgroup -o none,name=systemd,xattr cgroup {_GROUPS}/systemd"]
    else:
        lines += [f"mount -t cgroup2 cgroup2 {_GROUPS}"]
    # /etc is the laboratory's own already.
    for top in sorted({f"/{Path(place).parts[1]}" for place in mounts} - {"/etc"}):
        lines += [f"mount -t tmpfs -o mode=755 tmpfs {top}"]
    for place, source in mounts.items():
        lines += [f"mkdir -p {place}", f"mount --bind {shlex.quote(str(source))} {place}"]
    return lines
