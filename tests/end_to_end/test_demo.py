"""What a newcomer does first: start the demo and paste the two commands that it prints."""

import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from tests.host import Host, command_line, wait_until
from tests.lab.needs import needs
from tests.lab.programs import run

pytestmark = needs("curl")

PAGES = ("/sign-in", "/static/panel.css", "/static/panel.js", "/bootstrap/static/css/bootstrap.min.css")
"""The panel's, and what they are made of: from a wheel they must have travelled with it."""


def test_the_pasted_commands_send_a_first_mail_and_fetch_it(tmp_path: Path) -> None:
    said = tmp_path / "said"
    data = tmp_path / "demo"
    with said.open("wb") as out:
        demo = subprocess.Popen(
            [*command_line(), "demo", "--data", str(data)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=tmp_path,
            env=Host(data).environment(),
        )
    try:
        wait_until(lambda: "ready" in said.read_text().splitlines() or demo.poll() is not None, "ready", timeout=60)
        text = said.read_text()
        (send,) = re.findall(r"^  (printf .*)$", text, re.MULTILINE)
        (panel,) = re.findall(r"^  (https?://\S+)$", text, re.MULTILINE)
        (fetch,) = re.findall(r"^  (curl .*pop3s.*)$", text, re.MULTILINE)
        run("sh", "-c", send)
        mail = run("sh", "-c", fetch)
        assert "Return-Path: <alice@example.test>" in mail
        assert "Subject: Hello" in mail
        assert "A first mail." in mail
        story = Host(data).json("trace", "bob@example.test")
        assert [event["event"] for event in story[0]["events"]] == ["accepted", "delivered"]
        for page in PAGES:
            with urlopen(urljoin(panel, page), timeout=60) as answer:
                assert answer.status == 200, page
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 0
