"""Every way in which people and machines change a configuration while a program uses it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

FIRST, SECOND = "first.example.com", "second.example.com"


def conf(registry: str) -> str:
    """A configuration with this one registry; all are equally long for names that are."""
    return f'[[registry]]\nlocation = "{registry}"\n[[registry.mirror]]\nlocation = "proxy.example.com"\n'


def _plain(directory: Path, text: str) -> None:
    (directory / "registries.conf").write_text(text)


def _config_map(directory: Path, text: str) -> None:
    """As kubelet lays out a volume: the file leads through `..data`, which leads to a directory of this version."""
    _config_map_version(directory, text)
    (directory / "registries.conf").symlink_to("..data/registries.conf")


def _config_map_version(directory: Path, text: str) -> None:
    version = directory / f"..version-{len(list(directory.iterdir()))}"
    version.mkdir()
    (version / "registries.conf").write_text(text)
    (directory / "..data_tmp").symlink_to(version.name)
    os.rename(directory / "..data_tmp", directory / "..data")


def _in_place(directory: Path, text: str) -> None:
    with (directory / "registries.conf").open("r+") as file:
        file.write(text)
        file.truncate()


def _renamed(directory: Path, text: str) -> None:
    (directory / "new").write_text(text)
    os.rename(directory / "new", directory / "registries.conf")


def _renamed_with_its_old_time(directory: Path, text: str) -> None:
    times = (directory / "registries.conf").stat()
    (directory / "new").write_text(text)
    os.utime(directory / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.rename(directory / "new", directory / "registries.conf")


def _removed_and_written(directory: Path, text: str) -> None:
    (directory / "registries.conf").unlink()
    (directory / "registries.conf").write_text(text)


def _linked_elsewhere(directory: Path, text: str) -> None:
    (directory / "elsewhere").write_text(text)
    (directory / "registries.conf").unlink()
    (directory / "registries.conf").symlink_to("elsewhere")


Write = Callable[[Path, str], None]
"""Gives the `registries.conf` of a directory this text."""

WAYS: dict[str, tuple[Write, Write]] = {
    "edited in place": (_plain, _in_place),
    "replaced by rename": (_plain, _renamed),
    "replaced by rename, with the time of the former": (_plain, _renamed_with_its_old_time),
    "removed and written anew": (_plain, _removed_and_written),
    "replaced by a symbolic link": (_plain, _linked_elsewhere),
    "a ConfigMap's link swapped": (_config_map, _config_map_version),
}
"""How the file is laid out first, and how it is changed."""
