"""A real browser on a running panel: Debian's chromium, moved by Playwright.

`Eyes` opens pages and remembers what should not have been: errors in the console, broken policies, failed requests.
`look` lets axe-core judge the present page and, where PANEL_PICTURES names a folder, keeps pictures of it on a desk
and on a phone, in light and dark.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
PATIENCE_MS = 20_000


class Eyes:
    """One browser window and what it saw."""

    def __init__(self, page: Any, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("requestfailed", self._fail)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console on {self.page.url}: {message.text}")

    def _fail(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before it came
            self.complaints.append(f"{request.method} {request.url}: {request.failure}")

    def go(self, path: str) -> None:
        """Open a page of the panel."""
        self.page.goto(self.origin + path)

    def fill(self, **values: str) -> None:
        """Type into fields, by the labels' words with `_` for a blank."""
        for label, value in values.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).fill(value)

    def press(self, button: str) -> None:
        """Press the button with these words."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def follow(self, link: str) -> None:
        """Follow the link with these words."""
        self.page.get_by_role("link", name=link, exact=True).click()

    def sees(self, text: str) -> None:
        """Wait for words on the page."""
        self.page.get_by_text(text).first.wait_for()

    def plug_in_passkey(self) -> None:
        """Give the browser a device that holds passkeys and says yes to everything."""
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
        options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def look(self, name: str) -> None:
        """Have the present page judged, and draw it where pictures are wanted."""
        self._judge()
        folder = os.environ.get("PANEL_PICTURES")
        if folder:
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme)
                for view, size in (("desk", DESK), ("phone", PHONE)):
                    self.page.set_viewport_size(size)
                    self.page.screenshot(path=f"{folder}/{name}-{view}-{scheme}.png", full_page=True)
            self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(PHONE)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            self.complaints.append(f"{self.page.url} is {width} pixels wide on a phone")
        self.page.set_viewport_size(DESK)

    def _judge(self) -> None:
        from axe_playwright_python.sync_playwright import Axe

        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            found = Axe().run(self.page).response["violations"]
            for one in found:
                if one["impact"] in ("serious", "critical"):
                    where = [node["html"][:120] for node in one["nodes"][:3]]
                    self.complaints.append(f"axe on {self.page.url} ({scheme}): {one['help']}: {where}")
        self.page.emulate_media(color_scheme="light")


@contextmanager
def open_eyes(origin: str) -> Iterator[Eyes]:
    """A browser on a panel; the test fails at the end when the browser had something to complain about.

    Playwright's own loop runs in this thread meanwhile, so the panel must be served by another process or thread.
    """
    if not CHROMIUM.exists():
        pytest.skip("needs the Debian package chromium (make lab installs it)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=list(FLAGS))
        try:
            context = browser.new_context(viewport=DESK, ignore_https_errors=True, reduced_motion="reduce")
            eyes = Eyes(context.new_page(), origin)
            yield eyes
        finally:
            browser.close()
    assert not eyes.complaints, "\n".join(eyes.complaints)
