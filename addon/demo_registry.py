"""A stand-in for a registry proxy, inside mitmdump: what is needed to try ns-inject without a network.

Use it behind the addon: `mitmdump -s addon/ns_inject.py -s addon/demo_registry.py`. It answers every request for the
host of `demo_registry_host`, so that none leaves the machine.
"""

from __future__ import annotations

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader

from oci_ns.demo import DemoRegistry
from oci_ns.exchange_hook import Exchange
from oci_ns.exchanges import answer_of


class Demo:
    """The mitmproxy hooks: requests for the demo's host never leave."""

    def __init__(self) -> None:
        self._registry = DemoRegistry()

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option(
            "demo_registry_host",
            str,
            "proxy.example.com",
            "The host that the demonstration registry stands for; config/registries.conf names it as the proxy.",
        )

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """An upload to the demo's host is read to its end: a streamed one would be connected to it."""
        if flow.request.host == ctx.options.demo_registry_host:
            flow.request.stream = False

    def request(self, flow: http.HTTPFlow) -> None:
        """Answer."""
        request = flow.request
        if flow.response is None and request.host == ctx.options.demo_registry_host:
            flow.response = self._registry.answer(request.method, request.path, request.headers)

    def ns_exchange(self, exchange: Exchange) -> None:
        """Answer what the addon itself asks of the demo's host, too."""
        asked = exchange.outgoing
        if asked.host != ctx.options.demo_registry_host:
            return
        headers = http.Headers(asked.fields)
        method = "GET" if asked.method == "CONNECT" else asked.method
        exchange.answer = answer_of(self._registry.answer(method, asked.target, headers))


addons = [Demo()]
