"""Knows the images that clients pull: in a real registry, whose files are in memory if there is room."""

from __future__ import annotations

from contextlib import ExitStack

from lab.registries import Pushed, Registry

from .bench import Bench
from .settings import MIB

REPOSITORY = "lab/image"
TAG = "v1"


def registry_with_image(
    bench: Bench, stack: ExitStack, layers: int, layer_size: int, *, tls: bool
) -> tuple[Registry, Pushed]:
    """A registry, and an image in it with layers that cannot be compressed. It ends with `stack`."""
    bench.say(f"pushing an image of {layers} x {layer_size // MIB} MiB")
    certificate = bench.authority.issue("127.0.0.1") if tls else None
    registry = stack.enter_context(Registry("registry", bench.new_directory("registry"), certificate=certificate))
    pushed = registry.push(REPOSITORY, TAG, "a benchmark", more_layers=[layer_size] * layers)
    return registry, pushed
