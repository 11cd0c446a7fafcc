"""How long an endpoint may be silent, where that changes while requests are under way."""

from __future__ import annotations

import asyncio

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons, tflow

from oci_ns.patience import Patience


@pytest.mark.parametrize("has_looked", [False, True])
def test_what_waits_already_may_wait_for_ever_where_there_is_no_limit_any_more(has_looked: bool) -> None:
    async def act() -> None:
        patience, flow = Patience(), tflow.tflow()
        patience.limit = 1
        patience.begin(flow)
        (looks,) = asyncio.all_tasks() - {asyncio.current_task()}
        if has_looked:
            await asyncio.sleep(0.3)
        patience.limit = 0
        # It ends only where nobody is waited for.
        await asyncio.wait_for(looks, 2)
        assert not patience.has_given_up(flow)

    with taddons.context(Proxyserver()):
        asyncio.run(act())
