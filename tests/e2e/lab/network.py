"""Knows the private network: who has which name and address, and that there is no way out of it.

``enter_private_network`` moves the *test process itself* into a network namespace of its own, together with a mount
namespace in which the system directories are copies that vanish with the process. All that is started afterwards lives
there too, so every port is free, names mean what the laboratory wants them to mean, nothing can reach the real
registries, and nothing the clients write outlives the tests.

A :class:`ClientMachine` is a second machine next to it, for which the private network is the gateway.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from .process import Daemon, clean_env, require, run

TRIPWIRE_ADDRESS = "198.51.100.10"
PROXY_ADDRESS = "198.51.100.20"
PROXY_NAME = "proxy.example.com"

# What clients would ask if nobody sent them elsewhere. All of these names lead to the tripwire.
SOURCE_REGISTRIES = (
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "auth.docker.io",
    "production.cloudflare.docker.com",
    "quay.io",
    "cdn.quay.io",
    "ghcr.io",
    "gcr.io",
    "registry.k8s.io",
    "eu.quay.io",
    "registry.example.com",
)

# A tmpfs in the private mount namespace; short, because paths of unix sockets have at most 107 characters.
SHORT_DIRECTORY = Path("/run/lab")

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWNET = 0x40000000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000

# Clients would leave something in these directories, or find something there (sockets of daemons, resolvers).
_EMPTY = ("/run", "/dev/shm")
# In these they also need what is there, such as /etc/ssl/certs.
_COPY_ON_WRITE = ("/etc", "/var/lib", "/var/log")

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'

_numbers = itertools.count(1)


class PrivateNetworkError(Exception):
    """The private network cannot be set up on this machine."""


@dataclass
class PrivateNetwork:
    """The network all programs of the laboratory live on, and the private system directories that come with it."""

    hosts: dict[str, str] = field(default_factory=dict)
    hosts_file: Path = Path("/etc/hosts")

    def add_host(self, name: str, address: str) -> None:
        """Let ``name`` mean ``address`` from now on, on this machine and on client machines started afterwards."""
        self.hosts[name] = address
        self.hosts_file.write_text(_hosts_text(self.hosts))

    def add_address(self, address: str) -> None:
        """Make ``address`` one of this machine's own."""
        run([require("ip"), "address", "add", f"{address}/32", "dev", "lo"])

    def short_directory(self, name: str) -> Path:
        """A new directory with a path short enough for unix sockets."""
        path = SHORT_DIRECTORY / f"{name}{next(_numbers)}"
        path.mkdir(parents=True)
        return path


@functools.cache
def enter_private_network() -> PrivateNetwork:
    """Move the calling thread, and with it everything it starts from now on, into the private network.

    Meant to be called first by the thread that runs the tests. There is no way back: the network ends with the process.
    Calling it again returns the network that is there.
    """
    _unshare()
    _private_directories()
    return _configure()


def _unshare() -> None:
    if os.geteuid() != 0:
        raise PrivateNetworkError("the private network needs root: it creates network and mount namespaces")
    libc = ctypes.CDLL(None, use_errno=True)
    # The mount namespace implies CLONE_FS, so it does not matter that the process may have other threads; those stay
    # outside. System V IPC goes along because some clients keep locks there.
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWIPC) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise PrivateNetworkError(f"may not create network and mount namespaces (CAP_SYS_ADMIN is needed): {reason}")
    # Otherwise the mounts below would propagate to the machine itself.
    _mount(libc, "none", "/", "none", _MS_REC | _MS_PRIVATE, "")


def _private_directories() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for directory in filter(os.path.isdir, _EMPTY):
        _mount(libc, "tmpfs", directory, "tmpfs", 0, "mode=755" if directory == "/run" else "mode=1777")
    (Path("/run") / "lock").mkdir()
    for directory in _COPY_ON_WRITE:
        layers = SHORT_DIRECTORY / "mounts" / directory.strip("/").replace("/", "-")
        upper, work = layers / "upper", layers / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        _mount(libc, "overlay", directory, "overlay", 0, f"lowerdir={directory},upperdir={upper},workdir={work}")


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str, flags: int, data: str) -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode() or None)
    if libc.mount(*arguments) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise PrivateNetworkError(f"cannot mount {kind} on {target} in the private mount namespace: {reason}")


def _configure() -> PrivateNetwork:
    run([require("ip"), "link", "set", "lo", "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    network = PrivateNetwork()
    network.hosts[socket.gethostname()] = "127.0.0.1"
    network.hosts |= dict.fromkeys(SOURCE_REGISTRIES, TRIPWIRE_ADDRESS)
    # The resolver's files are often symbolic links into /run, which is empty now.
    for name in ("hosts", "resolv.conf", "nsswitch.conf"):
        (Path("/etc") / name).unlink(missing_ok=True)
    network.add_address(TRIPWIRE_ADDRESS)
    network.add_address(PROXY_ADDRESS)
    network.add_host(PROXY_NAME, PROXY_ADDRESS)
    _write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    _write("/etc/resolv.conf", "# Nobody answers there, at once.\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    # Whatever this machine's clients are configured to do, they do not do it here.
    for directory in ("docker", "containers", "containerd"):
        _remove_contents(Path("/etc") / directory)
    _write("/etc/containers/policy.json", _POLICY)
    _write("/etc/containers/registries.conf", "")
    return network


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def _remove_contents(directory: Path) -> None:
    if not directory.is_dir() or directory.is_symlink():
        directory.unlink(missing_ok=True)
        directory.mkdir()
        return
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            _remove_contents(path)
            path.rmdir()
        else:
            path.unlink()


def _hosts_text(hosts: Mapping[str, str]) -> str:
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in hosts.items())]
    return "\n".join(lines) + "\n"


class ClientMachine:
    """A machine of its own whose only way anywhere is through the private network, the gateway.

    It has its own addresses (``address``), loopback device and name resolution; it shares the gateway's files.
    """

    def __init__(
        self, directory: Path, *, hosts: Mapping[str, str] | None = None, led_to_gateway: Sequence[str] = ()
    ) -> None:
        """``hosts`` are names that mean something else here than on the gateway; ``led_to_gateway`` lead to it."""
        number = next(_numbers)
        subnet = f"10.77.{number % 256}"
        self.interface = f"lab{number}"
        self.gateway = f"{subnet}.1"
        self.address = f"{subnet}.2"
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._hosts = dict(hosts or {}) | dict.fromkeys(led_to_gateway, self.gateway)
        self._log = directory / f"machine-{number}.log"
        self._holder: Daemon | None = None

    def start(self) -> Self:
        """Start the machine and plug in its cable."""
        network = enter_private_network()
        hosts = self._directory / f"{self.interface}.hosts"
        hosts.write_text(_hosts_text(network.hosts | self._hosts))
        # The namespaces live as long as this process.
        boot = 'mount --bind "$0" /etc/hosts && ip link set lo up && echo ready && exec sleep infinity'
        self._holder = Daemon(
            "client machine",
            [require("unshare"), "--net", "--mount", "--propagation", "private", "sh", "-c", boot, hosts],
            log=self._log,
            ready=lambda: "ready" in self._log.read_text(),
            env=clean_env(self._directory),
        ).start()
        ip, cable, peer = require("ip"), self.interface, f"{self.interface}c"
        pid = str(self._holder.pid)
        try:
            run([ip, "link", "add", cable, "type", "veth", "peer", "name", peer, "netns", pid])
            run([ip, "address", "add", f"{self.gateway}/24", "dev", cable])
            run([ip, "link", "set", cable, "up"])
            run(self.command([ip, "address", "add", f"{self.address}/24", "dev", peer]))
            run(self.command([ip, "link", "set", peer, "up"]))
            run(self.command([ip, "route", "add", "default", "via", self.gateway]))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Switch the machine off; what still runs on it loses its network."""
        if self._holder is not None:
            # The kernel takes namespaces apart some time after their last process, the cable goes now.
            run([require("ip"), "link", "delete", self.interface], check=False)
            self._holder.stop(grace=1)

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs ``argv`` on this machine."""
        assert self._holder is not None, "the client machine was not started"
        enter = [require("nsenter"), "--target", str(self._holder.pid), "--net", "--mount", "--"]
        return [*enter, *(str(part) for part in argv)]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> CompletedProcess[str]:
        """Run a program on this machine to its end, like :func:`lab.process.run`."""
        environment = clean_env(self._directory) if env is None else env
        return run(self.command(argv), env=environment, timeout=timeout, check=check)

    def __enter__(self) -> Self:
        return self if self._holder is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def install_redirect(interface: str, to_port: int, *, ports: Sequence[int] = (80, 443)) -> None:
    """Let the gateway take connections to ``ports`` that come in by ``interface`` to its own port ``to_port``."""
    for port in ports:
        run(_redirect("-A", interface, port, to_port))


def remove_redirect(interface: str, to_port: int, *, ports: Sequence[int] = (80, 443)) -> None:
    """Undo :func:`install_redirect`."""
    for port in ports:
        run(_redirect("-D", interface, port, to_port))


@contextlib.contextmanager
def redirect(machine: ClientMachine, to_port: int, *, ports: Sequence[int] = (80, 443)) -> Iterator[None]:
    """For the time being, let the gateway take the machine's connections to ``ports`` to its own port ``to_port``."""
    install_redirect(machine.interface, to_port, ports=ports)
    try:
        yield
    finally:
        remove_redirect(machine.interface, to_port, ports=ports)


@contextlib.contextmanager
def redirect_own(to_port: int, *, except_user: int, ports: Sequence[int] = (80, 443)) -> Iterator[None]:
    """For the time being, take connections made on the gateway itself to ``ports`` to its own port ``to_port``.

    Connections of the user ``except_user`` pass untouched: that is who listens on ``to_port``.
    """

    def rule(action: str, port: int) -> list[str]:
        match = ["-p", "tcp", "-m", "owner", "!", "--uid-owner", str(except_user), "--dport", str(port)]
        target = ["-j", "REDIRECT", "--to-ports", str(to_port)]
        return [require("iptables"), "-w", "-t", "nat", action, "OUTPUT", *match, *target]

    for port in ports:
        run(rule("-A", port))
    try:
        yield
    finally:
        for port in ports:
            run(rule("-D", port))


def _redirect(action: str, interface: str, port: int, to_port: int) -> list[str]:
    match = ["-i", interface, "-p", "tcp", "--dport", str(port)]
    target = ["-j", "REDIRECT", "--to-ports", str(to_port)]
    return [require("iptables"), "-w", "-t", "nat", action, "PREROUTING", *match, *target]
