"""Knows mitmweb's page as its users see it: the flow list, the panes of a flow, the filter and the command bar.

Things are found by what they are called on the page, which is the same in the versions of mitmproxy that are supported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_T = TypeVar("_T")

# At once, because the page draws itself anew while the flows arrive.
_READ_TABLE = """
const texts = (row) => [...row.children].map((cell) => cell.textContent);
const headings = texts(document.querySelector("table > thead > tr") || document.createElement("tr"));
const wanted = ["Path", "Status", "Comment"].map((heading) => headings.indexOf(heading));
const rows = [...document.querySelectorAll("table > tbody > tr")].map(texts).filter((cells) => cells.length > 0);
return rows.map((cells) => wanted.map((column) => cells[column] ?? ""));
"""

_SECONDS = 20
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Row:
    """A row of the flow list, by the headings of its columns."""

    path: str
    """With the marker in front, where there is one."""
    status: str
    comment: str


class WebPage:
    """The page in a browser."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        self._url = url

    def open(self) -> None:
        """Load the page anew, as it is at first."""
        self.browser.get(self._url)
        self._wait(lambda: bool(self.rows()), "there are flows in the list")

    def filter(self, expression: str) -> None:
        """Put an expression into the search box of the flow list."""
        self._click("//nav/a[normalize-space()='Flow List']")
        _replace(self._find("//input[@placeholder='Search']"), expression)

    def rows(self) -> list[Row]:
        """The rows that are on the screen; the list has no others."""
        table: list[list[str]] = self.browser.execute_script(_READ_TABLE)
        return [Row(*cells) for cells in table]

    def await_rows(self, are_right: Callable[[list[Row]], bool], what: str) -> list[Row]:
        """The rows, once they are right."""

        def right() -> list[Row]:
            rows = self.rows()
            return rows if are_right(rows) else []

        return self._wait(right, what)

    def select(self, text: str, pane: str) -> str:
        """Click on the flow in whose row this text is and on one of its panes. Gives the pane's text."""
        self._click(f"//table/tbody/tr[td][contains(., '{text}')]")
        self._click(f"//nav/a[normalize-space()='{pane}']")
        return self.pane()

    def pane(self) -> str:
        """The text of the pane that is open."""
        return _text(self._find("//section"))

    def await_pane(self, text: str) -> str:
        """The text of the pane, once this is in it."""
        self._wait(lambda: text in self.pane(), f"{text!r} is shown")
        return self.pane()

    def command(self, line: str) -> str:
        """Run a command in the command bar. Gives what the bar answers."""
        self._click("//nav/a[normalize-space()='Options']")
        shown = self._find("//label[contains(., 'Display Command Bar')]//input")
        if not shown.is_selected():
            shown.click()
        _replace(self._find("//input[@placeholder='Enter command']"), line + Keys.ENTER)
        echo = f'//*[normalize-space()="$ {line}"]/..'
        return _text(self._find(echo)).removeprefix(f"$ {line}")

    @contextlib.contextmanager
    def columns(self, *names: str) -> Iterator[None]:
        """For the time being, let the flow list have these columns only, for whoever looks at it."""
        before = self.browser.execute_script("return fetch('options').then((answer) => answer.json())")
        self.command(f"set web_columns {' '.join(names)}")
        try:
            yield
        finally:
            self.command(f"set web_columns {' '.join(before['web_columns']['value'])}")

    def scroll_to_end(self) -> None:
        """Show the last flows."""
        self.browser.execute_script("const list = document.querySelector('table').parentElement; list.scrollTop = 1e6")

    def widen_pane(self, by: int) -> None:
        """Drag the border between the list and the panes to the left, by so many pixels."""
        border = self._find("//*[contains(@class, 'splitter')]")
        ActionChains(self.browser).drag_and_drop_by_offset(border, -by, 0).perform()

    def screenshot(self, path: Path) -> None:
        """Save what is on the screen; nothing has the keyboard's focus in it."""
        self.browser.execute_script("document.activeElement.blur()")
        assert self.browser.save_screenshot(str(path))

    def _find(self, xpath: str) -> WebElement:
        return self._wait(lambda: self.browser.find_element(By.XPATH, xpath), f"there is {xpath}")

    def _click(self, xpath: str) -> None:
        def click() -> bool:
            self.browser.find_element(By.XPATH, xpath).click()
            return True

        self._wait(click, f"there is {xpath} to be clicked")

    def _wait(self, condition: Callable[[], _T], what: str) -> _T:
        # The page draws itself anew with every event, and an element may be gone before it is read.
        ignored = [StaleElementReferenceException]
        wait = WebDriverWait(self.browser, _SECONDS, _POLL_SECONDS, ignored_exceptions=ignored)
        return wait.until(lambda _: condition(), f"waited in vain until {what}")


def _text(element: WebElement) -> str:
    """All its text as it is written: what is cut off on the screen, too, and every blank."""
    return str(element.get_property("textContent") or "")


def _replace(box: WebElement, text: str) -> None:
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(text)
