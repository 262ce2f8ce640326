"""A browser, and sites that it visits. The browser is the system's: tests fail, and say so, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from algorithms.services.server import SessionFlags
from algorithms.services.site.opening import opened_site
from rl_recsys.webshop import Shop
from tests.services.running import serving

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SLOWEST_MS = 60_000  # this machine may be busy; a page takes some ten
BAD = ("serious", "critical")  # findings of axe-core


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail("no browser here: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def page_of(browser: Browser, **options) -> Iterator[Page]:
    """A page of a context of its own, in which nothing may go wrong that a browser tells of."""
    context = browser.new_context(**options)
    context.set_default_timeout(SLOWEST_MS)
    page, told = context.new_page(), []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: told.append(f"dialog {dialog.message}") or dialog.dismiss())
    yield page
    context.close()
    assert not told


def follow(link: Locator, *, by_key: bool = False) -> None:
    """Click what leads to another page, or press Enter on it, and wait for that page."""
    with link.page.expect_navigation():
        link.press("Enter") if by_key else link.click()


def require_accessible(page: Page) -> None:
    """No serious finding of axe-core's on a page."""
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in BAD]
    assert not found, [(page.url, one["id"], one["help"], [node["html"] for node in one["nodes"]]) for one in found]


@pytest.fixture(scope="module")
def open_site(tmp_path_factory, shop_folder) -> Iterator[Callable[..., tuple[str, Path]]]:
    """Opens a site, of the demo shop by default, until the module's end: its address and the folder of recordings."""
    opened = []

    def open_one(
        *, shop: Path = shop_folder, policies=("heuristic",), watch=(), split: str = "train", **sessions
    ) -> tuple[str, Path]:
        record = tmp_path_factory.mktemp("people") / "record"
        record.mkdir()
        flags = SessionFlags(**sessions)
        opened.append(serving(opened_site(flags, shop, record, policies, split, watch)))
        return opened[-1].__enter__(), record

    yield open_one
    for one in reversed(opened):
        one.__exit__(None, None, None)


def wish_of(page: Page) -> str:
    return page.locator(".wish p").inner_text()


def goal_of(shop: Shop, wish: str) -> int:
    """The goal of these words."""
    (found,) = [n for n in range(shop.goal_count) if shop.goal(n).instruction_text == wish]
    return found
