"""Knows how to run a real Chromium without a screen, and that nothing it writes outlives the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from selenium import webdriver
from selenium.webdriver.common.proxy import Proxy, ProxyType
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.webdriver import WebDriver

from .network import enter_private_network
from .process import Daemon, clean_env, free_port, listens, require


@contextlib.contextmanager
def browser(width: int, height: int) -> Iterator[WebDriver]:
    """A Chromium whose page is `width` by `height` pixels."""
    chromium, chromedriver = require("chromium"), require("chromedriver")
    # Its sockets need short paths, and this directory ends with the tests.
    home = enter_private_network().short_directory("browser")
    port = free_port()
    driver = Daemon(
        "chromedriver",
        [chromedriver, f"--port={port}"],
        log=home / "chromedriver.log",
        ready=lambda: listens(port, "127.0.0.1"),
        env=clean_env(home),
        cwd=home,
    )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Root has no sandbox. With the pipe, Chromium ends when chromedriver does.
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "remote-debugging-pipe"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={home / 'profile'}")
    options.add_argument("--lang=en-US")
    with driver:
        # Whatever proxy the environment of the tests names.
        url = f"http://127.0.0.1:{port}"
        directly = ClientConfig(url, proxy=Proxy({"proxyType": ProxyType.DIRECT}))
        page = webdriver.Remote(url, options=options, client_config=directly)
        try:
            _resize(page, width, height)
            yield page
        finally:
            page.quit()


def _resize(page: WebDriver, width: int, height: int) -> None:
    """Give the page itself this size; a window is larger by its frame."""
    page.set_window_size(width, height)
    inner = page.execute_script("return [window.innerWidth, window.innerHeight]")
    page.set_window_size(2 * width - inner[0], 2 * height - inner[1])
