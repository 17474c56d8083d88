"""What Prometheus reads: events counted by the log's lines, sessions, the queue, commits; and nothing unbounded."""

import re
import smtplib
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailstack.operations.metrics import Metrics
from tests.host import PASSWORD, Host, free_ports, wait_until

ALICE = "alice@example.test"
ALERTS = Path(__file__).parents[2] / "docs" / "alerts.yml"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("event", "values", "name", "labels"),
    [
        ("accepted", {"login": ALICE, "client": "192.0.2.1", "size": 7}, "messages_accepted", {"origin": "submission"}),
        ("accepted", {"login": None, "client": "192.0.2.1", "size": 7}, "messages_accepted", {"origin": "world"}),
        ("accepted", {"login": None, "client": "local", "size": 7}, "messages_accepted", {"origin": "own"}),
        ("delivered", {"peer": "local"}, "deliveries", {"outcome": "delivered", "to": "local"}),
        ("delivered", {"peer": "mx.a.example"}, "deliveries", {"outcome": "delivered", "to": "remote"}),
        ("deferred", {"peer": "mx.a.example"}, "deliveries", {"outcome": "deferred", "to": "remote"}),
        ("failed", {"peer": "mx.a.example"}, "deliveries", {"outcome": "failed", "to": "remote"}),
        ("held", {}, "deliveries", {"outcome": "held", "to": "local"}),
        ("released", {}, "deliveries", {"outcome": "released", "to": "local"}),
        ("bounced", {}, "bounces", {"kind": "report"}),
        ("double-bounce", {}, "bounces", {"kind": "double"}),
        ("refused", {"stage": "rcpt"}, "refusals", {"stage": "rcpt"}),
        ("login", {"service": "pop3"}, "logins", {"service": "pop3", "outcome": "ok"}),
        ("login-failed", {"service": "pop3"}, "logins", {"service": "pop3", "outcome": "failed"}),
        ("trouble", {}, "trouble", {"kind": "trouble"}),
        ("bug", {}, "trouble", {"kind": "bug"}),
    ],
)
def test_each_line_of_the_log_is_counted(
    event: str, values: dict[str, object], name: str, labels: dict[str, str]
) -> None:
    metrics = Metrics()
    metrics.note(event, values)
    assert value(metrics, f"mailstack_{name}_total", **labels) == 1


def test_other_lines_are_not_minded() -> None:
    Metrics().note("started", {"listening": "x"})


def test_octets_fetches_commits_and_sessions() -> None:
    metrics = Metrics()
    metrics.note("accepted", {"login": None, "client": "192.0.2.1", "size": 700})
    metrics.note("fetched", {"retrieved": 3})
    metrics.commit_took(0.004)
    sessions: set[int] = {1, 2}
    metrics.watch_sessions("smtp", sessions)
    metrics.set_queue({"waiting": 5, "held": 1})
    assert value(metrics, "mailstack_accepted_octets_total") == 700
    assert value(metrics, "mailstack_fetched_messages_total") == 3
    assert value(metrics, "mailstack_commit_seconds_bucket", le="0.002") == 0
    assert value(metrics, "mailstack_commit_seconds_bucket", le="0.005") == 1
    assert value(metrics, "mailstack_sessions", service="smtp") == 2
    sessions.pop()
    assert value(metrics, "mailstack_sessions", service="smtp") == 1
    assert value(metrics, "mailstack_queue_recipients", state="waiting") == 5


def test_each_metric_of_an_example_alert_is_one_of_ours() -> None:
    suffixes = {"counter": "_total", "histogram": "_bucket"}
    known = {family.name + suffixes.get(family.type, "") for family in Metrics().registry.collect()}
    asked = set(re.findall(r"\b(?:mailstack|process)_[a-z_]+\b", ALERTS.read_text()))
    assert "mailstack_ready" in asked
    assert asked <= known


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path / "host").init() as host:
        host.ports["metrics"] = free_ports(1)[0]
        host.settings["outbound"] = {"smarthost": f"127.0.0.1:{free_ports(1)[0]}", "prohibited_networks": []}
        host.write_config()
        host.add_domain("example.test")
        host.add_account(ALICE)
        yield host.start()


def scrape(host: Host) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{host.ports['metrics']}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = answer.read().decode()
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_running_host_tells_its_numbers(host: Host) -> None:
    host.submit(ALICE, [ALICE, "bob@remote.example"])
    with pytest.raises(smtplib.SMTPAuthenticationError):
        host.submission(ALICE, PASSWORD + "!")
    host.fetch(ALICE)
    with host.mx():
        found = scrape(host)
        assert found["mailstack_sessions smtp"] == 1
    assert found["mailstack_messages_accepted_total submission"] == 1
    assert found["mailstack_deliveries_total delivered local"] == 1
    assert found["mailstack_queue_recipients waiting"] == 1
    assert found["mailstack_queue_recipients held"] == 0
    assert found["mailstack_logins_total failed submission"] >= 1
    assert found["mailstack_logins_total ok pop3"] == 1
    assert found["mailstack_fetched_messages_total"] == 1
    assert found["mailstack_commit_seconds_count"] >= 2
    assert found["process_open_fds"] > 10
    wait_until(
        lambda: scrape(host).get("mailstack_deliveries_total deferred remote"), "the smarthost that is not there"
    )
    wait_until(lambda: scrape(host)["mailstack_ready"], "a first commit that shows its health")
    assert found["mailstack_certificate_end_timestamp_seconds"] > time.time()
    assert host.stop() == 0
