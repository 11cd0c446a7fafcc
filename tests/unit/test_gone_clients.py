"""Clients that are gone at once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from mitmproxy.addons.block import Block
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from oci_ns.serving.gone_clients import GoneClients


@pytest.mark.parametrize(
    ("peername", "is_closed"), [(None, True), (("127.0.0.1", 1), False), (("::1", 1, 0, 0), False)]
)
def test_the_connection_of_a_client_without_an_address_is_closed_and_no_other(peername: Any, is_closed: bool) -> None:
    client = Client(
        peername=cast(Any, peername),
        sockname=("127.0.0.1", 8080),
        timestamp_start=1.0,
        proxy_mode=ProxyMode.parse("regular"),
    )
    block = Block()
    with taddons.context(block):
        GoneClients().client_connected(client)
        block.client_connected(client)
    assert (client.error is not None) is is_closed
