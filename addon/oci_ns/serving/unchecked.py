"""mitmproxy without its checks of itself, as `python -O` has it: a fifth of what it does for a request.

Its two expensive ones stand under `if __debug__` there: the types of each message's fields, and which event a layer
expects. `-O` would also take the assertions out of scripts, and compile everything anew where nothing can be cached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])

_LAYERS = "mitmproxy.proxy.layers"


def uncheck() -> bool:
    """Leave the checks out. Has to come before mitmproxy's layers are imported; returns whether it did."""
    if _LAYERS in sys.modules:
        return False
    from mitmproxy import http  # noqa: PLC0415
    from mitmproxy.proxy import utils  # noqa: PLC0415

    utils.expect = _expect
    http.MessageData.__post_init__ = _no_check  # type: ignore[method-assign]
    return True


def _expect(*_: type) -> Callable[[_F], _F]:
    return lambda handler: handler


def _no_check(_: object) -> None:
    """Nothing."""
