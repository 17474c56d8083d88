"""The config file: what it means, and one clear line for each way to get it wrong."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.config import Config
from mailstack.config_file import ConfigError, find_config, load_config
from mailstack.config_values import (
    parse_duration,
    parse_endpoint,
    parse_host_port,
    parse_size,
    write_duration,
    write_size,
)

LEAST = 'hostname = "mx.example.org"\ndata = "data"\n'


def load(folder: Path, text: str = "", **environ: str) -> Config:
    file = folder / "mailstack.toml"
    file.write_text(text if "hostname" in text else LEAST + text)
    return load_config(file, environ)


def test_defaults_and_absolute_paths(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.hostname == "mx.example.org"
    assert config.data == tmp_path / "data"
    assert config.database == f"sqlite:///{tmp_path / 'data' / 'mailstack.db'}"
    assert config.content == str(tmp_path / "data" / "content")
    assert config.tls.certificate == tmp_path / "tls" / "cert.pem"
    assert config.queue.retry[0] == timedelta(minutes=2)
    assert config.listen.pop3s == ("0.0.0.0:995",)


def test_paths_begin_where_a_linked_file_truly_is(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "mailstack.toml"
    link.symlink_to("../mailstack.toml")
    assert load_config(link, {}).data == tmp_path / "data"


def test_the_log_has_two_formats(tmp_path: Path) -> None:
    assert load(tmp_path).log.format == "key=value"
    assert load(tmp_path, MAILSTACK_LOG__FORMAT="json").log.format == "json"


def test_every_kind_of_value(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
hostname = "mx.bücher.example"
data = "/srv/mail"
database = "sqlite:////srv/db/mail.db"
[listen]
smtp = ["[::]:25", "systemd:smtp"]
https = []
[tls]
certificate = "/etc/cert.pem"
[smtp]
max_message_size = "10M"
max_recipients = 7
check_sender_domain = false
[queue]
retry = ["30s", "1h30m", 90]
warn_after = ""
[outbound]
nameservers = ["127.0.0.1:5353", "::1"]
smarthost = "smtp.example.net:587"
prohibited_networks = ["10.0.0.0/8", "fc00::/7"]
""",
    )
    assert config.hostname == "mx.xn--bcher-kva.example"
    assert (str(config.data), config.database) == ("/srv/mail", "sqlite:////srv/db/mail.db")
    assert (config.listen.smtp, config.listen.https) == (("[::]:25", "systemd:smtp"), ())
    assert config.tls.certificate == Path("/etc/cert.pem")
    assert config.tls.key == tmp_path / "tls" / "key.pem"
    assert (config.smtp.max_message_size, config.smtp.max_recipients) == (10 * 1024 * 1024, 7)
    assert config.smtp.check_sender_domain is False
    assert config.queue.retry == (timedelta(seconds=30), timedelta(minutes=90), timedelta(seconds=90))
    assert config.queue.warn_after is None
    assert config.outbound.nameservers == ("127.0.0.1:5353", "[::1]:53")
    assert config.outbound.prohibited_networks == (ip_network("10.0.0.0/8"), ip_network("fc00::/7"))


def test_environment_wins(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "[smtp]\nmax_recipients = 5\nmax_line = 2000\n",
        MAILSTACK_HOSTNAME="mx2.example.org",
        MAILSTACK_SMTP__MAX_RECIPIENTS="9",
        MAILSTACK_SMTP__CHECK_SENDER_DOMAIN="no",
        MAILSTACK_QUEUE__RETRY="1m, 2m",
        MAILSTACK_QUEUE__GIVE_UP_AFTER="3d",
        MAILSTACK_LISTEN__HTTP="",
        MAILSTACK_OUTBOUND__PORT="2525",
        MAILSTACK_DEBUG="1",
        MAILSTACK_COMMAND="somebody else's",
    )
    assert config.hostname == "mx2.example.org"
    assert (config.smtp.max_recipients, config.smtp.max_line, config.smtp.check_sender_domain) == (9, 2000, False)
    assert config.queue.retry == (timedelta(minutes=1), timedelta(minutes=2))
    assert config.queue.give_up_after == timedelta(days=3)
    assert config.listen.http == ()
    assert config.outbound.port == 2525


WRONG = [
    ("hostnam = 'x'", "hostnam: unknown setting; the nearest known one is hostname"),
    ("[smpt]\nmax_line = 3", "smpt: unknown setting; the nearest known one is smtp"),
    ("[log]\nformat = 'yaml'", 'log.format: \'yaml\' is not known; write "key=value" or "json"'),
    ("[log]\nformat = ['json']", "log.format: ['json'] is not known"),
    ("[queue]\nretires = []", "queue.retires: unknown setting; the nearest known one is retry"),
    ("[queue]\nxyz = []", "queue.xyz: unknown setting; the nearest known one is"),
    ("[queue]\nretry = []", "queue.retry: needs at least one time"),
    ("[queue]\nretry = ['2x']", 'queue.retry: "2x" is not a duration; write it like'),
    ("[queue]\nretry = '2m'", "queue.retry: needs a list"),
    ("[queue]\ngive_up_after = ''", 'queue.give_up_after: "" is not a duration'),
    ("[queue]\ngive_up_after = '99999999999999d'", "longer than ten years"),
    ("[smtp]\nmax_message_size = '50X'", 'smtp.max_message_size: "50X" is not a size'),
    ("[smtp]\nmax_recipients = 0", "smtp.max_recipients: 0 is too small; the least is 1"),
    ("[smtp]\nmax_recipients = '7'", "'7' is not a whole number; write it without quotes"),
    ("[smtp]\nmax_recipients = true", "True is not a whole number"),
    ("[smtp]\ncheck_sender_domain = 'yes'", "neither true nor false"),
    ("[smtp]\nsoft_errors = 30", "smtp.soft_errors: must not be above hard_errors"),
    ("[listen]\nsmtp = ['25']", 'listen.smtp: "25" names no port'),
    ("[listen]\nsmtp = ['::1:25']", "names no port; write it like"),
    ("[listen]\nsmtp = [':25']", "names no address; write 0.0.0.0:25"),
    ("[listen]\nsmtp = ['localhost:25']", "is not an IP address"),
    ("[listen]\nsmtp = ['0.0.0.0:70000']", '"70000" is not a port'),
    ("[listen]\nsmtp = ['systemd:']", "is not a socket of systemd"),
    ("[outbound]\nport = 70000", '"70000" is not a port'),
    ("[outbound]\nprohibited_networks = ['10.0.0.1/8']", "is not a network"),
    ("[outbound]\nsmarthost = 'smtp.example.net'", "names no port"),
    ("database = 'mysql://x'", 'database: "mysql://x" is no database we know'),
    ("content = 's3://bucket'", "content: an S3 bucket is not supported"),
    ("listen = 3", "listen: is a section"),
    ("[tls]\nkey = ''", "tls.key: is empty"),
    ("x = ", "not valid TOML"),
    ("hostname = 'localhost'\ndata='.'", '"localhost" is not a full host name'),
    ("hostname = '192.0.2.1'\ndata='.'", "is not a full host name"),
    ("hostname = 'a..b'\ndata='.'", "is not a host name"),
    ("hostname = 'mx.example.org'", "data is missing; add a line data ="),
    ("hostname = 25\ndata='.'", "hostname: 25 is not a text; write it in quotes"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_mistake_is_one_line_with_place_and_mend(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert told in message
    assert message.startswith(str(tmp_path / "mailstack.toml"))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MAILSTACK_HOSTNMAE", "x.y", "unknown setting; the nearest known one is MAILSTACK_HOSTNAME"),
        ("MAILSTACK_QUEUE__RETYR", "1m", "unknown setting; the nearest known one is retry"),
        ("MAILSTACK_QEUEU__RETRY", "1m", "unknown setting; the nearest known one is queue"),
        ("MAILSTACK_SMTP__MAX_RECIPIENTS", "many", "'many' is not a whole number"),
        ("MAILSTACK_HOSTNAME", "here", '"here" is not a full host name'),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(tmp_path: Path, variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **{variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert told in str(caught.value)


def test_where_the_config_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="mailstack init"):
        find_config(None, {})
    (tmp_path / "mailstack.toml").write_text(LEAST)
    (tmp_path / "other.toml").write_text(LEAST)
    assert find_config(None, {}) == Path("mailstack.toml")
    assert find_config(None, {"MAILSTACK_CONFIG": "other.toml"}) == Path("other.toml")
    assert find_config("mailstack.toml", {"MAILSTACK_CONFIG": "other.toml"}) == Path("mailstack.toml")
    with pytest.raises(ConfigError, match="no such config file"):
        find_config("absent.toml", {})


def test_unreadable_config_says_why(tmp_path: Path) -> None:
    (tmp_path / "mailstack.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "mailstack.toml", {})


@given(st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)))
def test_durations_round_trip(duration: timedelta) -> None:
    assert parse_duration(write_duration(duration)) == duration


@given(st.integers(0, 1 << 45))
def test_a_written_size_is_near_and_readable(octets: int) -> None:
    assert abs(parse_size(write_size(octets)) - octets) <= octets * 0.06


@given(st.text())
def test_values_are_read_or_refused_with_one_reason(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_endpoint, parse_host_port):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017
