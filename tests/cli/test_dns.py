"""`mailstack dns`, as somebody at a terminal uses it."""

import json
import os
import subprocess
import sys

from tests.cli.conftest import Shell
from tests.net.fake_dns import FakeDns


def test_show(shell: Shell) -> None:
    shell.run("domain", "add", "example.test")
    records = shell.json("dns", "show", "example.test")
    assert {"name": "example.test", "type": "MX", "value": "10 mx.example.test."}.items() <= records[0].items()
    assert all(set(record) == {"name", "type", "value", "purpose"} for record in records)
    assert any(record["type"] == "TXT" and record["value"] == "v=spf1 mx -all" for record in records)
    assert '"v=spf1 mx -all"' in shell.says("dns", "show", "example.test"), "as a zone file quotes it"
    assert "is not a domain of this host" in shell.refusal("dns", "show", "other.test")


def test_check(shell: Shell) -> None:
    shell.run("domain", "add", "example.test")
    dns = FakeDns({("example.test", "MX"): ["10 mx.example.test."]})
    try:
        settings = {**os.environ, "MAILSTACK_OUTBOUND__NAMESERVERS": dns.server}
        command = [sys.executable, "-m", "mailstack", "--config", str(shell.config), "dns", "check", "example.test"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=settings)
        told = subprocess.run(
            [*command, "--json"], capture_output=True, text=True, timeout=60, check=False, env=settings
        )
    finally:
        dns.close()
    assert said.returncode == told.returncode == 1
    assert "right  mail for example.test goes to 10 mx.example.test." in said.stdout.splitlines()
    assert "wrong  mx.example.test has no address; add an A record" in said.stdout.splitlines()
    (line,) = said.stderr.splitlines()
    assert line.startswith("mailstack: ")
    found = json.loads(told.stdout)
    assert found[0] == {
        "name": "example.test",
        "type": "MX",
        "found": ["10 mx.example.test."],
        "right": True,
        "what": "mail for example.test goes to 10 mx.example.test.",
    }
