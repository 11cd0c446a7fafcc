"""One target in this process, until libFuzzer ends it.

Called as `python -m tests.fuzz.under_atheris TARGET [LIBFUZZER OPTION...]`.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["oci_ns"], enable_loader_override=False):
    from tests.fuzz.catalogue import TARGETS


def main() -> None:
    """Fuzz; does not return."""
    name, *options = sys.argv[1:]
    atheris.Setup([name, *options], TARGETS[name].one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
