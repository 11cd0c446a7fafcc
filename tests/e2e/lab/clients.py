"""Knows the registry clients: how each is started, told about a proxy and about whom to trust, and what it pulled.

Every client takes its proxy and its trusted certificate authorities as arguments and has nothing else: what the
environment of the tests says about proxies and certificates does not reach it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Any, Final, Protocol, Self

from .network import enter_private_network
from .process import Daemon, clean_env, require, run

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

PODMAN_SETTINGS: Final = '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
"""A containers.conf with which podman needs neither systemd nor its journal."""

_numbers = itertools.count(1)


class Machine(Protocol):
    """Where a client runs: something with files or a network of its own."""

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs ``argv`` there."""


@dataclass(frozen=True)
class Surroundings:
    """What a client is told about the network it is on.

    ``proxy`` is the URL of an HTTP proxy for everything but ``no_proxy``; ``ca`` a file with the authorities to trust
    instead of the system's; ``machine`` where it runs, if not next to the proxies; ``variables`` what its environment
    has besides, as a service file would say it.
    """

    proxy: str | None = None
    no_proxy: str = ""
    ca: Path | None = None
    machine: Machine | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, home: Path) -> dict[str, str]:
        """This, as environment variables that Go programs heed. They ignore the proxy for 127.0.0.1 of their own."""
        variables = {}
        if self.proxy is not None:
            variables = {"HTTP_PROXY": self.proxy, "HTTPS_PROXY": self.proxy, "NO_PROXY": self.no_proxy}
        if self.ca is not None:
            # The directory is named as well because Go would add the system's certificates from it.
            empty = home / "no-certificates"
            empty.mkdir(parents=True, exist_ok=True)
            variables |= {"SSL_CERT_FILE": str(self.ca), "SSL_CERT_DIR": str(empty)}
        return clean_env(home, **variables, **self.variables)

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs ``argv`` where the client lives."""
        return [str(part) for part in argv] if self.machine is None else self.machine.command(argv)


DIRECT: Final = Surroundings()
"""No proxy, and the system's certificate authorities."""


class ClientError(AssertionError):
    """A client said that it could not do what it was told; the text is its own."""


@contextlib.contextmanager
def trusted_for(host: str, ca: Path) -> Iterator[None]:
    """For the time being, let dockerd, podman and skopeo trust ``ca`` for one registry, by ``/etc/docker/certs.d``."""
    enter_private_network()
    directory = Path("/etc/docker/certs.d") / host
    directory.mkdir(parents=True)
    shutil.copyfile(ca, directory / "ca.crt")
    try:
        yield
    finally:
        shutil.rmtree(directory)


class Containerd:
    """A containerd with ctr, its command line client.

    Pulls happen in ctr up to version 1.7 and in containerd from version 2 on, so both have the same surroundings.
    """

    def __init__(self, directory: Path, surroundings: Surroundings = DIRECT) -> None:
        number = next(_numbers)
        self._surroundings = surroundings
        self._directory = directory / f"containerd-{number}"
        self._directory.mkdir(parents=True)
        sockets = enter_private_network().short_directory("containerd")
        self.socket = sockets / "containerd.sock"
        self._env = surroundings.environment(self._directory)
        config = self._directory / "config.toml"
        config.write_text(self._config(sockets))
        self._daemon = Daemon(
            "containerd",
            surroundings.command([require("containerd"), "--config", config]),
            log=self._directory / "containerd.log",
            # The last line of a start; a socket may be there before anybody answers.
            ready=lambda: "containerd successfully booted" in self.log(),
            env=self._env,
            cwd=self._directory,
        )

    def _config(self, sockets: Path) -> str:
        # What this kernel may not have, what listens on the network, and what is only for Kubernetes.
        disabled = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]
        disabled += [f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")]
        return "\n".join(
            (
                "version = 2",
                f"root = {json.dumps(str(self._directory / 'root'))}",
                f"state = {json.dumps(str(sockets / 'state'))}",
                f"disabled_plugins = {json.dumps(disabled)}",
                "[grpc]",
                f"address = {json.dumps(str(self.socket))}",
                '[plugins."io.containerd.internal.v1.opt"]',
                f"path = {json.dumps(str(self._directory / 'opt'))}",
                "",
            )
        )

    def pull(
        self,
        reference: str,
        *,
        hosts_dir: Path | None = None,
        plain_http: bool = False,
        options: Sequence[str] = (),
    ) -> str:
        """Pull an image, unpack it, and return the digest it is known by: for a multi-platform image, its index's.

        With ``hosts_dir``, ctr looks for ``<registry>/hosts.toml`` in there.
        """
        flags = ["--snapshotter", "native"]
        flags += ["--hosts-dir", str(hosts_dir)] if hosts_dir is not None else []
        flags += ["--plain-http"] if plain_http else []
        self.ctr("images", "pull", *flags, *options, reference)
        listing = self.ctr("images", "ls", f"name=={reference}").stdout
        return _only_digest(listing, reference)

    def push(self, reference: str, local: str, *, plain_http: bool = False, options: Sequence[str] = ()) -> None:
        """Push the image known here as ``local`` to ``reference``."""
        flags = ["--plain-http"] if plain_http else []
        self.ctr("images", "push", *flags, *options, reference, local)

    def ctr(self, *arguments: str, timeout: float = 120.0) -> CompletedProcess[str]:
        """Run ctr; it is a ClientError when it fails."""
        command = [require("ctr"), "--address", str(self.socket), "--namespace", "lab", *arguments]
        return _run(self._surroundings.command(command), env=self._env, timeout=timeout)

    @property
    def pid(self) -> int:
        """The process id of containerd."""
        return self._daemon.pid

    def log(self) -> str:
        """Everything containerd printed so far."""
        return self._daemon.log()

    def start(self) -> Self:
        """Start containerd."""
        self._daemon.start()
        return self

    def stop(self) -> None:
        """Stop containerd and throw away what it has pulled."""
        self._daemon.stop()
        shutil.rmtree(self._directory / "root", ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Dockerd:
    """A dockerd with docker, its command line client.

    Pulls and pushes happen in dockerd. It reads its certificate authorities once, when it starts.
    """

    def __init__(
        self,
        directory: Path,
        surroundings: Surroundings = DIRECT,
        *,
        mirrors: Sequence[str] = (),
        insecure_registries: Sequence[str] = (),
        options: Sequence[str] = (),
        containerd: Containerd | None = None,
        config: Path | None = None,
    ) -> None:
        """``mirrors`` are URLs for ``--registry-mirror``, which dockerd uses for docker.io only.

        ``insecure_registries`` are hosts that may have plain HTTP or unknown certificates; those on 127.0.0.0/8 always
        may. ``containerd`` may be any that runs; without it dockerd gets its own. ``config`` is its daemon.json, as
        dockerd sees it; an empty one by default.
        """
        number = next(_numbers)
        self._surroundings = surroundings
        self._directory = directory / f"dockerd-{number}"
        self._directory.mkdir(parents=True)
        # Left to itself dockerd would start a containerd too, but one that writes to /opt and takes a second to end.
        self._own_containerd = None
        if containerd is None:
            containerd = self._own_containerd = Containerd(self._directory)
        sockets = enter_private_network().short_directory("dockerd")
        self.host = f"unix://{sockets / 'docker.sock'}"
        self._env = surroundings.environment(self._directory)
        # Its surroundings are dockerd's affair.
        self._cli_env = clean_env(self._directory, DOCKER_CONFIG=str(self._directory / "cli"), DOCKER_CLI_HINTS="false")
        if config is None:
            config = self._directory / "daemon.json"
            config.write_text("{}")
        command = [
            *(require("dockerd"), f"--config-file={config}", f"--host={self.host}", "--storage-driver=vfs"),
            *("--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false", "--bridge=none"),
            *(f"--data-root={self._directory / 'data'}", f"--exec-root={sockets / 'exec'}"),
            *(f"--pidfile={sockets / 'docker.pid'}", f"--containerd={containerd.socket}"),
            *(f"--registry-mirror={mirror}" for mirror in mirrors),
            *(f"--insecure-registry={registry}" for registry in insecure_registries),
            *options,
        ]
        self._daemon = Daemon(
            "dockerd",
            surroundings.command(command),
            log=self._directory / "dockerd.log",
            ready=lambda: "API listen on" in self.log(),
            env=self._env,
            cwd=self._directory,
        )

    def pull(self, reference: str) -> str:
        """Pull an image and return the digest it is known by: for a multi-platform image, its index's."""
        self.docker("pull", "--quiet", reference)
        return self.digest(reference)

    def digest(self, reference: str) -> str:
        """The digest under which the image was pulled or pushed."""
        digests: list[str] = json.loads(
            self.docker("image", "inspect", "--format", "{{json .RepoDigests}}", reference).stdout
        )
        repository = _repository(reference)
        mine = [each for each in digests if each.partition("@")[0] == _familiar(repository)]
        return _only_digest("\n".join(mine), reference)

    def tag(self, reference: str, new: str) -> None:
        """Give an image that was pulled another name."""
        self.docker("tag", reference, new)

    def push(self, reference: str) -> str:
        """Push an image and return the digest the registry has it under now."""
        return _only_digest(self.docker("push", reference).stdout, reference)

    def remove(self, reference: str) -> None:
        """Forget an image, so that the next pull asks the registry for all of it."""
        self.docker("image", "rm", "--force", reference)

    def docker(self, *arguments: str, timeout: float = 120.0) -> CompletedProcess[str]:
        """Run docker; it is a ClientError when it fails."""
        return _run([require("docker"), "--host", self.host, *arguments], env=self._cli_env, timeout=timeout)

    @property
    def pid(self) -> int:
        """The process id of dockerd."""
        return self._daemon.pid

    def log(self) -> str:
        """Everything dockerd printed so far."""
        return self._daemon.log()

    def start(self) -> Self:
        """Start dockerd."""
        if self._own_containerd is not None:
            self._own_containerd.start()
        try:
            self._daemon.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop dockerd and throw away what it has pulled."""
        self._daemon.stop()
        if self._own_containerd is not None:
            self._own_containerd.stop()
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Podman:
    """Podman with storage of its own; there is no daemon, so every pull reads the files anew."""

    def __init__(
        self,
        directory: Path,
        surroundings: Surroundings = DIRECT,
        *,
        registries_conf: Path | None = None,
        system_files: bool = False,
    ) -> None:
        """``registries_conf`` is the containers-registries.conf podman itself goes by; an empty one by default.

        With ``system_files`` it goes by all that is in /etc/containers, :data:`PODMAN_SETTINGS` to be among it.
        """
        number = next(_numbers)
        self._surroundings = surroundings
        self._directory = directory / f"podman-{number}"
        self._directory.mkdir(parents=True)
        self._run_directory = enter_private_network().short_directory("podman")
        settings = self._directory / "containers.conf"
        settings.write_text(PODMAN_SETTINGS)
        storage = self._directory / "storage.conf"
        paths = {"graphroot": self._directory / "storage", "runroot": self._run_directory / "run"}
        lines = [f"{name} = {json.dumps(str(path))}" for name, path in paths.items()]
        storage.write_text("\n".join(["[storage]", 'driver = "vfs"', *lines, ""]))
        self._env = surroundings.environment(self._directory) | {"CONTAINERS_STORAGE_CONF": str(storage)}
        if not system_files:
            registries_conf = registries_conf or _empty_file(self._directory / "registries.conf")
            self._env |= {"CONTAINERS_CONF": str(settings), "CONTAINERS_REGISTRIES_CONF": str(registries_conf)}

    @property
    def directories(self) -> tuple[Path, Path]:
        """Where it has all that it writes: whoever runs it has to own them."""
        return self._directory, self._run_directory

    def pull(self, reference: str, *, tls_verify: bool = True, options: Sequence[str] = ()) -> str:
        """Pull an image and return the digest of what the tag stood for: for a multi-platform image, its index's."""
        flags = [] if tls_verify else ["--tls-verify=false"]
        self.podman("pull", "--quiet", *flags, *options, reference)
        digests = self.digests(reference)
        if len(digests) == 1:
            return digests[0]
        # Podman knows a multi-platform image by its index as well as by the platform's manifest, and does not say which
        # is which; but it keeps both documents.
        return _only_digest("\n".join(filter(self._is_index, digests)), reference)

    def digests(self, reference: str) -> list[str]:
        """All digests under which podman knows the image."""
        known: list[str] = json.loads(self._inspect("{{json .RepoDigests}}", reference))
        return sorted({digest for each in known for digest in _DIGEST.findall(each)})

    def push(
        self, local: str, reference: str, *, tls_verify: bool = True, options: Sequence[str] = ()
    ) -> CompletedProcess[str]:
        """Push the image known here as ``local`` to ``reference``."""
        flags = [] if tls_verify else ["--tls-verify=false"]
        return self.podman("push", *flags, *options, local, f"docker://{reference}")

    def podman(self, *arguments: str, timeout: float = 120.0) -> CompletedProcess[str]:
        """Run podman; it is a ClientError when it fails."""
        return _run(self._surroundings.command([*self._command, *arguments]), env=self._env, timeout=timeout)

    def compose(self, *arguments: str | Path, run_options: Sequence[str] = (), timeout: float = 120.0) -> None:
        """Run podman-compose, which runs this podman; it is a ClientError when it fails."""
        program = self._directory / "podman"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self._command)} "$@"\n')
        program.chmod(0o755)
        options = [f"--podman-path={program}", f"--podman-run-args={shlex.join(run_options)}"]
        command = [require("podman-compose"), *options, *arguments]
        _run(self._surroundings.command(command), env=self._env, timeout=timeout)

    @property
    def _command(self) -> list[str]:
        run_directory = self._run_directory
        places = [f"--root={self._directory / 'storage'}", f"--runroot={run_directory / 'run'}"]
        return [require("podman"), *places, f"--tmpdir={run_directory / 'tmp'}"]

    def remove_all(self) -> None:
        """Forget all images, so that the next pull asks the registry for all of it."""
        self.podman("rmi", "--all", "--force")

    def _is_index(self, digest: str) -> bool:
        for path in (self._directory / "storage" / "vfs-images").rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest:
                return "manifests" in json.loads(content)
        return False

    def _inspect(self, template: str, reference: str) -> str:
        return self.podman("image", "inspect", "--format", template, reference).stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self._directory / "storage", ignore_errors=True)


class Skopeo:
    """Skopeo, which inspects and copies images without storing them."""

    def __init__(
        self, directory: Path, surroundings: Surroundings = DIRECT, *, registries_conf: Path | None = None
    ) -> None:
        """``registries_conf`` is the containers-registries.conf skopeo itself goes by; an empty one by default."""
        number = next(_numbers)
        self._surroundings = surroundings
        self._directory = directory / f"skopeo-{number}"
        self._directory.mkdir(parents=True)
        # Unlike podman it does not heed CONTAINERS_REGISTRIES_CONF.
        self._registries_conf = registries_conf or _empty_file(self._directory / "registries.conf")
        self._env = surroundings.environment(self._directory)

    def inspect(self, reference: str, *, tls_verify: bool = True, options: Sequence[str] = ()) -> dict[str, Any]:
        """What skopeo says about the image; its ``Digest`` is that of the tag.

        It asks for the repository's tags too, and for these always the registry in the reference, whatever location or
        mirrors its configuration has for it.
        """
        flags = [*options] if tls_verify else ["--tls-verify=false", *options]
        answer: dict[str, Any] = json.loads(self.skopeo("inspect", *flags, f"docker://{reference}").stdout)
        return answer

    def digest(self, reference: str, *, tls_verify: bool = True) -> str:
        """The digest of what the tag stands for: for a multi-platform image, its index's."""
        return str(self.inspect(reference, tls_verify=tls_verify, options=["--no-tags"])["Digest"])

    def copy(self, source: str, target: str, *, tls_verify: bool = True, options: Sequence[str] = ()) -> str:
        """Copy an image, with all its platforms, between transports (``docker://...``, ``oci:...``).

        Returns the digest under which it is at the target.
        """
        flags = [] if tls_verify else ["--src-tls-verify=false", "--dest-tls-verify=false"]
        digest_file = self._directory / "digest"
        self.skopeo("copy", "--quiet", "--all", *flags, *options, f"--digestfile={digest_file}", source, target)
        return _only_digest(digest_file.read_text(), target)

    def skopeo(self, *arguments: str, timeout: float = 120.0) -> CompletedProcess[str]:
        """Run skopeo; it is a ClientError when it fails."""
        options = ["--insecure-policy", f"--registries-conf={self._registries_conf}"]
        command = [require("skopeo"), *options, *arguments]
        return _run(self._surroundings.command(command), env=self._env, timeout=timeout)


@dataclass(frozen=True)
class Response:
    """What curl got."""

    status: int
    headers: Mapping[str, str]
    """Of the last response, names in lower case; of repeated headers the last."""
    body: bytes
    http_version: str
    """``1.1`` or ``2``, between curl and whom it talked to."""

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Curl:
    """Curl, for requests no registry client would make, over HTTP/1.1 or HTTP/2."""

    def __init__(self, directory: Path, surroundings: Surroundings = DIRECT) -> None:
        self._surroundings = surroundings
        self._directory = directory / f"curl-{next(_numbers)}"
        self._directory.mkdir(parents=True)

    def __call__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        http2: bool = True,
        follow: bool = False,
        options: Sequence[str] = (),
        timeout: float = 60.0,
    ) -> Response:
        """Make one request; it is a ClientError when there is no response, whereas any status is fine.

        ``http2`` offers HTTP/2 to TLS servers; plain HTTP stays HTTP/1.1.
        """
        head, content, sent = (self._directory / name for name in ("head", "content", "sent"))
        for stale in (head, content):
            stale.unlink(missing_ok=True)
        flags = ["--silent", "--show-error", "--path-as-is", "--http2" if http2 else "--http1.1"]
        flags += ["--head"] if method == "HEAD" else ["--request", method]
        flags += ["--dump-header", str(head), "--output", str(content)]
        flags += ["--write-out", "%{http_code} %{http_version}"]
        flags += ["--location"] if follow else []
        flags += ["--cacert", str(self._surroundings.ca)] if self._surroundings.ca is not None else []
        if self._surroundings.proxy is not None:
            flags += ["--proxy", self._surroundings.proxy, "--noproxy", self._surroundings.no_proxy]
        if body is not None:
            sent.write_bytes(body)
            flags += ["--data-binary", f"@{sent}"]
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            flags += ["--header", f"{name}: {value}" if value else f"{name};"]
        # --disable: no .curlrc
        command = [require("curl"), "--disable", *flags, *options, url]
        result = _run(self._surroundings.command(command), env=clean_env(self._directory), timeout=timeout)
        status, _, version = result.stdout.partition(" ")
        data = content.read_bytes() if content.exists() and method != "HEAD" else b""
        return Response(int(status), _last_headers(head.read_text(errors="replace")), data, version)


def _run(command: Sequence[str | Path], *, env: Mapping[str, str], timeout: float) -> CompletedProcess[str]:
    result = run(command, env=env, timeout=timeout, check=False)
    if result.returncode != 0:
        shown = " ".join(result.args)
        raise ClientError(f"{shown}\nended with status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def _only_digest(text: str, reference: str) -> str:
    digests = set(_DIGEST.findall(text))
    assert len(digests) == 1, f"expected one digest for {reference}, got: {text}"
    return str(digests.pop())


def _repository(reference: str) -> str:
    """The reference without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _familiar(repository: str) -> str:
    """The name docker prefers for a repository, without what it adds itself."""
    for prefix in ("index.docker.io/", "docker.io/"):
        repository = repository.removeprefix(prefix)
    return repository.removeprefix("library/")


def _empty_file(path: Path) -> Path:
    path.touch()
    return path


def _last_headers(dump: str) -> dict[str, str]:
    blocks = [block for block in re.split(r"\r?\n\r?\n", dump) if block.startswith("HTTP/")]
    headers = {}
    for line in blocks[-1].splitlines()[1:] if blocks else ():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers
