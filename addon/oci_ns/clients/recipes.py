"""Which recipes a client has, and the files of each.

`mirror`, `listener`, `https-proxy` and `dns` are the README's (a), (b), (c) and (e).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oci_ns.clients import containerd, containers, docker, hosts_file, systemd, trust_store
from oci_ns.clients.address import ProxyAddress
from oci_ns.clients.plan import File, Files, Plan, SetupError, without
from oci_ns.clients.registries import ClientRegistries, api_host
from oci_ns.reference import DOCKER_HUB, split_host

MIRROR, LISTENER, HTTPS_PROXY, DNS = "mirror", "listener", "https-proxy", "dns"
DOCKER, PODMAN, CONTAINERD, CRI_O, ENV = "docker", "podman", "containerd", "cri-o", "env"

RECIPES: Mapping[str, tuple[str, ...]] = {
    DOCKER: (HTTPS_PROXY, MIRROR, DNS),
    PODMAN: (MIRROR, LISTENER, HTTPS_PROXY, DNS),
    CONTAINERD: (MIRROR, LISTENER, HTTPS_PROXY, DNS),
    CRI_O: (MIRROR, LISTENER, HTTPS_PROXY, DNS),
    ENV: (HTTPS_PROXY,),
}
"""The recipes of each client, its default first."""
PROXIES: Mapping[str, str] = {
    MIRROR: "http://127.0.0.1:8081",
    HTTPS_PROXY: "http://127.0.0.1:8080",
    DNS: "https://127.0.0.1",
}
"""Where ns-inject is, by default."""
NO_PROXY = "localhost,127.0.0.0/8,::1"

_WHY_NOT = {
    (DOCKER, LISTENER): "Docker asks a mirror for docker.io only, and knows no other place for a registry",
    (ENV, MIRROR): "no environment variable names a mirror",
    (ENV, LISTENER): "no environment variable names a mirror",
    (ENV, DNS): "no environment variable says what a name resolves to",
}
_SERVICES = {DOCKER: "docker", CONTAINERD: "containerd", CRI_O: "crio"}
_RESTART_CRI_O = ("systemctl restart crio",)
"""It reads registries.conf when it starts."""
_CERTS_D = {
    DOCKER: trust_store.DOCKER,
    PODMAN: trust_store.CONTAINERS,
    CONTAINERD: trust_store.CONTAINERD,
    CRI_O: trust_store.CONTAINERS,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """A client, a recipe, and what it needs.

    `proxy` is where ns-inject is (for `listener`, `listeners` by registry are); `certificates` is its CA in PEM, ''
    where the recipe needs none.
    """

    client: str
    recipe: str
    registries: ClientRegistries
    proxy: ProxyAddress
    listeners: Mapping[str, ProxyAddress] = field(default_factory=dict)
    certificates: str = ""
    no_proxy: str = NO_PROXY

    @property
    def addresses(self) -> tuple[ProxyAddress, ...]:
        """Every address at which the client finds ns-inject."""
        return tuple(dict.fromkeys(self.listeners.values())) if self.recipe == LISTENER else (self.proxy,)


def check_recipe(client: str, recipe: str) -> None:
    """Raises SetupError, with those that the client has, where the recipe is none for it."""
    if recipe not in RECIPES[client]:
        raise SetupError(
            f"the recipe {recipe} is none for {client}: {_WHY_NOT[client, recipe]}; use {' or '.join(RECIPES[client])}"
        )


def check_address(recipe: str, address: ProxyAddress) -> None:
    """Raises SetupError where a client cannot find ns-inject there by that recipe."""
    if recipe == HTTPS_PROXY and address.scheme != "http":
        raise SetupError(
            f"{address.url}: a proxy is spoken to by http, TLS goes through it: http://{address.authority}"
        )
    if recipe == DNS and not (address.is_address and address.port == 443 and address.scheme == "https"):
        raise SetupError(
            f"{address.url}: with dns, it is https://ADDRESS: an IP address, at which clients take port 443"
        )


def needs_ca(recipe: str, addresses: tuple[ProxyAddress, ...]) -> bool:
    """Whether TLS that the client speaks ends at ns-inject."""
    return recipe in (HTTPS_PROXY, DNS) or any(address.scheme == "https" for address in addresses)


def plan(setup: Setup, files: Files) -> Plan:
    """What the client needs, and what another recipe left and it does not need. Raises SetupError."""
    check_recipe(setup.client, setup.recipe)
    found = {MIRROR: _mirror, LISTENER: _mirror, HTTPS_PROXY: _https_proxy, DNS: _dns}[setup.recipe](setup, files)
    return _tidied(setup, files, found)


def covered(setup: Setup) -> tuple[str, ...]:
    """The registries whose images the recipe sends to ns-inject, without wildcards. Raises SetupError for none."""
    hosts = setup.registries.hosts
    if setup.recipe == LISTENER:
        hosts = tuple(setup.listeners)
    elif setup.recipe == MIRROR and setup.client == DOCKER:
        hosts = tuple(host for host in hosts if host == DOCKER_HUB)
        if not hosts and "*" in setup.registries.wildcards:
            hosts = (DOCKER_HUB,)
        if not hosts:
            raise SetupError("Docker asks a mirror for docker.io only, which is not configured; use https-proxy or dns")
    elif setup.recipe == MIRROR and setup.client in (PODMAN, CRI_O):
        # The mirror has the host in its path, and a colon there makes it no image name.
        hosts = tuple(host for host in hosts if ":" not in host)
    elif setup.recipe == DNS:
        hosts = tuple(host for host in hosts if split_host(host)[1] is None)
    wildcards = setup.registries.wildcards if _takes_wildcards(setup) else ()
    if not hosts and not wildcards:
        names = setup.registries.names
        told = f": {HTTPS_PROXY} has {names}" if names else ""
        raise SetupError(f"no registry is configured that {setup.client} could be told of with {setup.recipe}{told}")
    return hosts


def _takes_wildcards(setup: Setup) -> bool:
    return setup.recipe == HTTPS_PROXY or (setup.recipe == MIRROR and setup.client == CONTAINERD)


def _left_out(setup: Setup, hosts: tuple[str, ...]) -> tuple[str, ...]:
    names = [host for host in setup.registries.hosts if host not in hosts]
    if not _takes_wildcards(setup):
        names += setup.registries.wildcards
    if not names or setup.recipe == LISTENER:
        return ()
    return (f"not through ns-inject: {ClientRegistries(tuple(names)).names} (https-proxy has all of them)",)


def _evaded(setup: Setup) -> tuple[str, ...]:
    if not setup.registries.blocked or setup.client not in (DOCKER, CONTAINERD):
        return ()
    names = ClientRegistries(setup.registries.blocked).names
    return (f"blocked, but {setup.client} goes on to the registry itself where a mirror refuses: {names}",)


def _mirror(setup: Setup, files: Files) -> Plan:
    hosts = covered(setup)
    notes = Plan(notes=(*_left_out(setup, hosts), *_evaded(setup)))
    by_url = setup.client in (DOCKER, CONTAINERD)
    tls = [address for address in setup.addresses if address.scheme == "https"]
    secure = [address.authority if by_url else address.registry for address in tls]
    trust = trust_store.in_certs_d(files, _CERTS_D[setup.client], secure, setup.certificates)
    if setup.client == DOCKER:
        file = docker.with_mirror(files, setup.proxy.url)
        return Plan((file,), ("systemctl reload docker",)) + trust + notes
    if setup.client == CONTAINERD:
        by_host = {host: setup.listeners.get(host, setup.proxy) for host in hosts}
        if setup.recipe == MIRROR and setup.registries.wildcards:
            by_host[containerd.DEFAULT] = setup.proxy
        return containerd.mirrors(files, by_host, trusted=bool(secure)) + trust + notes
    _check_names(setup)
    if setup.recipe == LISTENER:
        places = {host: (address, "") for host, address in setup.listeners.items()}
    else:
        places = {host: (setup.proxy, f"/{host}") for host in hosts}
    restart = Plan(commands=_RESTART_CRI_O if setup.client == CRI_O else ())
    return containers.mirrors(files, setup.client, places, setup.registries) + trust + restart + notes


def _check_names(setup: Setup) -> None:
    for address in setup.addresses:
        if ":" in address.host:
            raise SetupError(
                f"{address.url}: a mirror with an IPv6 address is no image name for {setup.client}, and nothing would "
                "be pulled: give a name of it"
            )


def _https_proxy(setup: Setup, files: Files) -> Plan:
    hosts = covered(setup)
    url = setup.proxy.url
    trust = _trust(setup, files, hosts)
    if setup.client == PODMAN:
        return containers.engine_proxy(files, url, setup.no_proxy) + trust
    if setup.client == DOCKER:
        docker.check_proxies(files, url)
    service = systemd.proxy_drop_in(files, _SERVICES[setup.client], url, setup.no_proxy)
    # A daemon reads the system's store when it starts.
    return Plan(commands=trust.commands) + service + trust


def _dns(setup: Setup, files: Files) -> Plan:
    hosts = covered(setup)
    text = files.text(hosts_file.PATH)
    after = hosts_file.with_names(text or "", setup.proxy.host, [api_host(host) for host in hosts])
    plan = Plan((File(hosts_file.PATH, text, after),)) + _trust(setup, files, hosts)
    restart = ("systemctl restart " + _SERVICES[setup.client],) if plan.commands and setup.client in _SERVICES else ()
    return plan + Plan(commands=restart, notes=_left_out(setup, hosts))


def _trust(setup: Setup, files: Files, hosts: tuple[str, ...]) -> Plan:
    """In certs.d, for these registries alone, where the client reads that for each of them; else in the system's store.

    dockerd does not read it for Docker Hub; no certs.d has a directory for a wildcard.
    """
    wildcards = setup.registries.wildcards if _takes_wildcards(setup) else ()
    if wildcards or (setup.client == DOCKER and DOCKER_HUB in hosts):
        return trust_store.in_system_store(files, setup.certificates)
    trust = trust_store.in_certs_d(files, _CERTS_D[setup.client], hosts, setup.certificates)
    if setup.client != CONTAINERD:
        return trust
    containerd.check_certs_d(files, hosts)
    return trust + containerd.config_path(files)


def _tidied(setup: Setup, files: Files, found: Plan) -> Plan:
    """With the files removed that another recipe wrote for this client, and for no other."""
    paths: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    notes = trust_store.left_over(files, _CERTS_D[setup.client], {file.path for file in found.files})
    if setup.client == DOCKER and setup.recipe != MIRROR:
        notes += docker.left_over(files)
    if setup.client == PODMAN:
        paths += (containers.ENGINE_DROP_IN,)
    if setup.client in (PODMAN, CRI_O) and all(file.path != containers.DROP_IN for file in found.files):
        back = containers.taken_back(files, setup.client)
        found += back + Plan(commands=_RESTART_CRI_O if back.files and setup.client == CRI_O else ())
    if setup.client == CONTAINERD:
        paths += containerd.left_over(files)
    if setup.client in _SERVICES:
        paths += (systemd.drop_in_path(_SERVICES[setup.client]),)
        commands = ("systemctl daemon-reload", f"systemctl restart {_SERVICES[setup.client]}")
    removed = without(files, paths, found.files)
    services = any(file.path.startswith("/etc/systemd/") for file in removed)
    hosts = files.text(hosts_file.PATH) or ""
    if setup.recipe != DNS and hosts_file.with_names(hosts, "", ()) != hosts:
        notes += (f"{hosts_file.PATH} has names of the recipe dns yet, for every client here: take them out if unused",)
    tidied = found + Plan(removed, commands if services else (), notes)
    return replace(tidied, commands=tuple(sorted(tidied.commands, key=_turn)))


def _turn(command: str) -> int:
    """A service is started anew when all that it starts with is there."""
    return 0 if not command.startswith("systemctl ") else 1 if command == "systemctl daemon-reload" else 2
