"""All fuzz targets, and what each begins with."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import configuration, namespace_editor, reference_grammar, request_target
from tests.fuzz.findings import FINDINGS
from tests.fuzz.target import Target, bytes_of

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET for module in (request_target, namespace_editor, reference_grammar, configuration)
}


def seeds(target: Target) -> list[bytes]:
    """What to begin with: the target's seeds, and every input that showed a fault; each once."""
    return list(dict.fromkeys((*target.seeds(), *FINDINGS[target.name].values())))


def write_seeds(target: Target, directory: Path) -> None:
    """Put the seeds where libFuzzer looks for them, beside what is there already."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (directory / f"seed-{number:04}").write_bytes(seed)


def write_words(target: Target, file: Path) -> None:
    """Write the target's words as a dictionary of libFuzzer's."""
    file.write_text("".join(f'"{_escaped(bytes_of(word))}"\n' for word in target.words))


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
