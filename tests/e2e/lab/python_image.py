"""Knows how to make, without a network, what a Containerfile starts from: an image with this Python, and wheels."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_UNUSED = ("test", "idlelib", "tkinter", "turtledemo", "lib2to3", "site-packages", "dist-packages", "__pycache__")
_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def make_root(root: Path) -> None:
    """Make a file system with this Python, its standard library and the libraries that it and its packages need."""
    library = Path(sysconfig.get_paths()["stdlib"])
    python = Path(sys.executable).resolve()
    copied = root / library.relative_to("/")
    shutil.copytree(library, copied, ignore=shutil.ignore_patterns(*_UNUSED, "config-*", "*.a", "_tkinter*"))
    _copy(python, root)
    loaded = [python, *copied.rglob("*.so"), *Path(sysconfig.get_paths()["platlib"]).rglob("*.so*")]
    told = subprocess.run(["ldd", *map(str, loaded)], capture_output=True, text=True, check=False).stdout
    for name in set(re.findall(r"(/\S+) \(0x", told)):
        if not Path(name).is_relative_to(sys.prefix):
            _copy(Path(name), root)
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/bin/python3").symlink_to(python)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/sbin/nologin\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    # Where everybody may go: the interpreter may be someone's own.
    for path, _, _ in os.walk(root):
        if Path(path) != root / "tmp":
            Path(path).chmod(0o755)


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    target.chmod(0o755)


def make_wheels(directory: Path, requirements: Iterable[str]) -> None:
    """Pack what is installed here for the requirements, and for those of these, into wheels again."""
    directory.mkdir()
    packed = set()
    todo = [Requirement(each) for each in requirements]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in packed or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        packed.add(name)
        found = metadata.distribution(name)
        _pack(found, directory)
        todo += [Requirement(each) for each in found.requires or []]


def _pack(found: metadata.Distribution, directory: Path) -> None:
    tags = re.findall(r"(?m)^Tag: (\S+?)-(\S+?)-(\S+)$", found.read_text("WHEEL") or "")
    python, abi, platform = (".".join(sorted(set(each))) for each in zip(*tags, strict=True))
    stem = f"{canonicalize_name(found.metadata['Name']).replace('-', '_')}-{found.version}"
    files = [each for each in found.files or [] if each.parts[0] != ".." and each.suffix != ".pyc"]
    home = next(each.parent for each in files if each.name == "WHEEL")
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(directory / f"{stem}-{python}-{abi}-{platform}.whl", "w") as wheel:
        for file in files:
            if file.parent == home and file.name in _INSTALLERS:
                continue
            content = Path(str(file.locate())).read_bytes()
            wheel.writestr(str(file), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append((str(file), f"sha256={digest}", str(len(content))))
        record = io.StringIO()
        csv.writer(record).writerows([*rows, (f"{home}/RECORD", "", "")])
        wheel.writestr(f"{home}/RECORD", record.getvalue())
