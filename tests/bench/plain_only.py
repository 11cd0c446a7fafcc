"""A script for mitmproxy: TLS is passed on to the upstream, which has none, and says so as it would say it directly.

Registry clients try https first, and mitmproxy answers that wherever it is: they would pull with TLS what they pull
without it from the upstream.
"""

from __future__ import annotations

from mitmproxy import tls


def tls_clienthello(data: tls.ClientHelloData) -> None:
    """Leave it to the upstream."""
    data.ignore_connection = True
