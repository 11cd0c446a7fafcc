"""Knows how to run mitmproxy's console in a terminal of a fixed size, type into it, and read what is on the screen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .mitmdump import Mitmdump
from .network import enter_private_network
from .process import Daemon, clean_env, require, run, wait_until

COLUMNS, ROWS = 160, 40

_OVERLAY = "Data viewer"
"""The title of the window in which mitmproxy shows what a command answers."""

_TURNS = 9
"""Three times as many as there are panes: a screen may be read before it is drawn."""

_LOCALE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}


def _in_front(screen: str) -> tuple[str, bool]:
    """The title of the screen, and whether there is a window in front of it."""
    return screen.partition("\n")[0].strip(), _OVERLAY in screen


class Terminal(Mitmdump):
    """A running mitmproxy console, in a tmux of its own."""

    program: ClassVar[str] = "mitmproxy"
    settings: ClassVar[Mapping[str, str]] = {"console_mouse": "false"}

    def __init__(self, directory: Path, *, conf: Path, trusted_ca: Path) -> None:
        self._socket = enter_private_network().short_directory("tmux") / "tmux"
        self._asked = False
        super().__init__(directory, conf=conf, trusted_ca=trusted_ca)

    def _daemon_of(self, command: Sequence[str], log: Path, env: Mapping[str, str], timeout: float) -> Daemon:
        # The server ends when its only session does; mitmproxy ends when the server does.
        inner = shlex.join([require("setpriv"), "--pdeathsig=KILL", *command])
        conf = log.with_suffix(".tmux")
        conf.write_text(
            f'set -g status off\nset -g default-terminal "screen-256color"\nset -g remain-on-exit on\n'
            f"new-session -d -x {COLUMNS} -y {ROWS} {shlex.quote(inner)}\n"
        )
        return Daemon(
            self.program,
            [require("tmux"), "-D", "-u", "-S", self._socket, "-f", conf],
            log=log,
            ready=self._is_ready,
            env={**env, **_LOCALE},
            cwd=log.parent,
            timeout=timeout,
        )

    def _is_ready(self) -> bool:
        # tmux reads its configuration, which starts mitmproxy, when it is first asked for something.
        if not self._asked and self._socket.exists():
            self._tmux("list-sessions")
            self._asked = True
        return self._asked and super()._is_ready()

    def screen(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p").rstrip("\n")

    def keys(self, *keys: str) -> None:
        """Press keys, by their tmux names (Enter, Escape, Tab, Down, ...)."""
        self._tmux("send-keys", *keys)

    def command(self, line: str) -> None:
        """Run a command at mitmproxy's own prompt."""
        self.keys(":")
        self.await_screen(lambda screen: screen.rstrip().splitlines()[-1] == ":", "the prompt is there")
        self._tmux("send-keys", "-l", line)
        # It suggests arguments behind what is typed.
        self.await_screen(lambda screen: f": {line}" in screen.splitlines()[-1], f"{line!r} is typed")
        self.keys("Enter")

    def back_to(self, title: str) -> None:
        """Close what is open, until the screen with this title has nothing in front of it."""
        for _ in range(3):
            screen = self.screen()
            if screen.startswith(title) and _OVERLAY not in screen:
                return
            self._close(screen)
        raise AssertionError(f"there is no way back to {title!r} from this screen:\n{self.screen()}")

    def turn_to(self, *texts: str) -> str:
        """Press Tab until all these are on the screen: a flow opens with the pane that was shown of the last one."""
        for _ in range(_TURNS):
            screen = self.screen()
            if all(text in screen for text in texts):
                return screen
            self.keys("Tab")
            self._await_other(screen)
        raise AssertionError(f"{texts} are on no pane; the screen:\n{self.screen()}")

    def _close(self, screen: str) -> None:
        """Close what is in front of this screen."""
        self.keys("q")
        # A message at the bottom goes away by itself, and one `q` too many asks whether to quit.
        before = _in_front(screen)
        self.await_screen(lambda now: now.startswith("Flow") and _in_front(now) != before, "another window is in front")

    def _await_other(self, screen: str) -> None:
        self.await_screen(lambda now: now != screen, "something else is on the screen")

    def await_screen(self, is_right: Callable[[str], bool], what: str) -> str:
        """The screen, once it is right."""
        last = ""

        def right() -> bool:
            nonlocal last
            last = self.screen()
            return is_right(last)

        try:
            wait_until(right, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{last}") from None
        return last

    def await_text(self, *texts: str) -> str:
        """The screen, once all these are on it."""
        return self.await_screen(lambda screen: all(text in screen for text in texts), f"{texts} are on the screen")

    def _tmux(self, *arguments: str) -> str:
        env = clean_env(self._socket.parent, **_LOCALE)
        return run([require("tmux"), "-S", self._socket, *arguments], env=env).stdout
