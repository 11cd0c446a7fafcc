"""What a supervisor starts: `python -m oci_ns.serving.worker_process DESCRIPTOR`, a socket's descriptor."""

from __future__ import annotations

import socket
import sys

from oci_ns.serving.unchecked import uncheck


def main() -> None:
    """Be a worker at the other end of the socket. Raises SystemExit where the start fails."""
    uncheck()
    # Only now: with it come mitmproxy's layers.
    from oci_ns.serving.worker import Worker  # noqa: PLC0415

    with socket.socket(fileno=int(sys.argv[1])) as connection:
        connection.set_inheritable(False)
        Worker(connection).run()


if __name__ == "__main__":
    main()
