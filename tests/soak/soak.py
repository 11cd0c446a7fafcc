"""What runs beside what: mirrors and a registry, one ns-inject, all actors, and those who watch."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from lab.clients import Containerd, Dockerd, Podman, Skopeo, Surroundings
from lab.mitmdump import Mitmdump
from lab.network import enter_private_network
from lab.process import Daemon, clean_env, free_port, wait_until
from lab.registries import Registry
from lab.tripwire import Tripwire

from .aborters import Aborter
from .actor import Actor, Company
from .content import Content
from .ledger import Failure, Ledger
from .mirror import Mirror
from .outcome import Outcome
from .ping import Ping, pings
from .pushers import Abandoner, Uploader
from .readers import BigReader, Idlers, Newcomer, Reader, SlowReader
from .reloader import NAMESPACES, Reloader, configuration
from .restarter import Restarter
from .runners import runner
from .scrape import Scrape, scrape
from .settings import Settings
from .talk import ERRORS, Client
from .watch import Held, Watch, held, tables
from .whole_clients import Puller, Pusher, containerd_pull, dockerd_pull, podman_pull, skopeo_pull
from .windows import Windows

PROGRAMS: Final = (
    *("containerd", "ctr", "docker", "docker-registry", "dockerd", "nginx", "podman", "setpriv", "skopeo"),
)
_ROOT: Final = Path(__file__).resolve().parents[2]
_QUIESCED: Final = 30.0
"""In seconds: how long what was held may take to be let go; mitmproxy and a pull's patience need some of it."""

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class _World:
    settings: Settings
    directory: Path
    content: Content
    mirrors: tuple[Mirror, Mirror]
    registry: Registry
    conf: Path
    proxy: Mitmdump
    metrics: int
    inside: Path
    ledger: Ledger

    @property
    def light_port(self) -> int:
        return self.proxy.ports[1]

    def held(self) -> Held:
        return held(self.proxy.pid, self.proxy_directory)

    @property
    def proxy_directory(self) -> Path:
        return self.directory / "proxy"


def soak(
    settings: Settings, directory: Path, say: Say = lambda _: None, *, tripwire: Tripwire | None = None
) -> Outcome:
    """Soak. The calling thread moves into the private network, where it may have a tripwire already."""
    enter_private_network()
    with ExitStack() as stack:
        tripwire = tripwire or stack.enter_context(Tripwire())
        say("making images")
        world = _world(settings, directory, stack)
        windows = Windows(tuple(mirror.authority for mirror in world.mirrors))
        say("starting clients")
        actors = _actors(world, stack)
        _warm_up(world)
        idle = world.held()
        scrapes: list[Scrape] = []
        unanswered: list[str] = []
        watch = Watch(world.held, lambda: _scrape(world, scrapes, unanswered))
        probe, log = _probe(world)
        company = Company(actors)
        begin = time.monotonic()
        watch.start()
        with probe:
            company.start()
            say("soaking")
            Restarter(world.mirrors, windows, world.ledger, settings.seed).run(begin + settings.seconds, settings.rest)
            say("letting all come to their ends")
            for name in company.stop():
                world.ledger.broke(name, "does not end")
        seconds = time.monotonic() - begin
        watch.stop()
        found = pings(log)
        _note_pings(found, world.ledger)
        say("waiting for ns-inject to let go")
        _quiesce(world, idle)
        _scrape(world, scrapes, unanswered)
        survived = world.proxy.alive()
        after, left = world.held(), tables(world.inside)
        world.proxy.stop()
        return Outcome(
            settings=settings,
            actors=tuple(actor.tally for actor in actors),
            seconds=seconds,
            ledger=world.ledger,
            windows=windows,
            watch=watch,
            idle=idle,
            after=after,
            tables=left,
            pings=found,
            scrapes=scrapes,
            unanswered=[*unanswered, *([watch.broken] if watch.broken else [])],
            log=world.proxy.log(),
            survived=survived,
            end=f"status {world.proxy.status()} after SIGTERM",
            touched=[f"{touch.peer} at {touch.port}: {touch.first_bytes!r}" for touch in tripwire.touched],
        )


def _world(settings: Settings, directory: Path, stack: ExitStack) -> _World:
    content = Content(directory / "content", settings)
    stack.callback(content.remove)
    first, second = (Mirror(name, directory / f"mirror-{name}", content, NAMESPACES) for name in ("a", "b"))
    for mirror in (first, second):
        mirror.start()
        stack.callback(mirror.end, kill=False)
    registry = stack.enter_context(Registry("pushed", directory))
    conf = directory / "registries.conf"
    conf.write_text(configuration((first.authority, second.authority), registry.authority))
    inside = directory / "inside"
    inside.mkdir()
    metrics = free_port()
    proxy = stack.enter_context(runner(settings, directory / "proxy", conf, registry.authority, metrics, inside))
    return _World(settings, directory, content, (first, second), registry, conf, proxy, metrics, inside, Ledger())


def _actors(world: _World, stack: ExitStack) -> list[Actor]:
    settings, content, ledger, seed = world.settings, world.content, world.ledger, world.settings.seed
    port, push_port = world.light_port, world.proxy.ports[2]
    surroundings = Surroundings(proxy=world.proxy.url, no_proxy="127.0.0.1", ca=world.proxy.ca_pem)
    clients = world.directory / "clients"
    containerd = stack.enter_context(Containerd(clients, surroundings))
    dockerd = stack.enter_context(Dockerd(clients, surroundings, containerd=containerd))
    podman = stack.enter_context(Podman(clients, surroundings))
    images = [*content.apps, content.multi]
    skopeo_images = [*images, content.big]
    first, second = (mirror.authority for mirror in world.mirrors)
    return [
        *(Reader(f"reader {number}", ledger, seed, port, content) for number in range(settings.readers)),
        Newcomer("newcomer", ledger, seed, port, content),
        BigReader("big reader", ledger, seed, port, content),
        SlowReader("slow reader", ledger, seed, port, content),
        Idlers("idlers", ledger, seed, port, content, settings.idle),
        Aborter("aborter", ledger, seed, port, content),
        Puller("skopeo", ledger, seed, skopeo_images, skopeo_pull(Skopeo(clients, surroundings), clients / "pulled")),
        Puller("podman", ledger, seed, images, podman_pull(podman)),
        Puller("dockerd", ledger, seed, images, dockerd_pull(dockerd)),
        Puller("containerd", ledger, seed, images, containerd_pull(containerd)),
        Pusher("skopeo push", ledger, seed, content.apps, Skopeo(clients), world.registry, push_port),
        Uploader("uploader", ledger, seed, push_port, world.registry),
        Abandoner("abandoner", ledger, seed, push_port, world.registry),
        Reloader(
            *("reloader", ledger, seed, world.conf, (first, second), world.registry.authority),
            lambda: world.proxy.pid,
            settings.reload_every,
        ),
    ]


def _warm_up(world: _World) -> None:
    """What ns-inject holds from its first request on is no leak."""
    everybody = f"all {world.settings.workers} look at their tables"
    wait_until(lambda: len(list(world.inside.glob("*.json"))) == world.settings.workers, everybody, timeout=120)
    client = Client("warm-up", world.light_port, world.ledger)
    for image in world.content.small:
        client.fetch(image.manifest)
        for blob in image.blobs:
            client.fetch(blob)
        # The next one comes to another worker, perhaps.
        client.close()
    wait_until(lambda: scrape(world.metrics).total("ns_inject_pulls_total") > 0, "a pull is over", timeout=120)
    wait_until(lambda: not tables(world.inside).get("connections", 1), "the first connection is gone")


def _probe(world: _World) -> tuple[Daemon, Path]:
    log = world.directory / "pings"
    daemon = Daemon(
        "probe",
        [sys.executable, "-m", "tests.soak.ping", str(world.light_port), log],
        log=world.directory / "probe.log",
        ready=log.exists,
        env=clean_env(world.directory),
        cwd=_ROOT,
    )
    return daemon, log


def _note_pings(found: list[Ping], ledger: Ledger) -> None:
    for ping in found:
        if ping.status == 200:
            ledger.did("ping")
        else:
            ledger.failed(Failure("ping", "GET /v2/", ping.begin, ping.end, ping.detail))


def _scrape(world: _World, scrapes: list[Scrape], unanswered: list[str]) -> None:
    try:
        scrapes.append(scrape(world.metrics))
    except (*ERRORS, AssertionError, ValueError) as error:
        unanswered.append(f"{type(error).__name__}: {error}")


def _quiesce(world: _World, idle: Held) -> None:
    """Wait until as much is held as at the beginning; who judges sees whether it is."""
    (world.inside / "quiesce").touch()

    def is_quiet() -> bool:
        with contextlib.suppress(OSError, json.JSONDecodeError):
            now, left = world.held(), tables(world.inside)
            return (
                now.files <= idle.files
                and now.threads <= idle.threads
                and not any(left.get(name, 0) for name in ("watched", "pulls open", "under way", "connections"))
            )
        return False

    with contextlib.suppress(AssertionError):
        wait_until(is_quiet, "what was held is let go", timeout=_QUIESCED)
