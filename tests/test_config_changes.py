"""What a reload takes of another config, setting by setting."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from mailstack.config import Config, Limits, Listen, Outbound, Smtp
from mailstack.config_changes import changed, take_live

RUNNING = Config("mx.example.org", Path("/data"))


def test_nothing_differs_from_itself() -> None:
    assert changed(RUNNING, RUNNING) == []


def test_a_setting_is_named_with_its_section() -> None:
    wanted = replace(RUNNING, hostname="mx.example.net", smtp=Smtp(max_recipients=7), limits=Limits(freeze=False))
    assert changed(RUNNING, wanted) == ["hostname", "smtp.max_recipients", "limits.freeze"]


def test_what_is_bound_or_opened_at_the_start_is_left() -> None:
    listen, outbound = Listen(smtp=()), Outbound(prohibited_networks=(ip_network("10.0.0.0/8"),))
    wanted = replace(RUNNING, user="nobody", listen=listen, outbound=outbound, smtp=Smtp(max_recipients=7))
    running = take_live(RUNNING, wanted)
    assert running == replace(RUNNING, smtp=Smtp(max_recipients=7))
    assert changed(running, wanted) == ["user", "listen.smtp", "outbound.prohibited_networks"]
