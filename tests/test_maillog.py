"""The log's lines leave in order, at once or a turn's together."""

import errno
import io
import json

import pytest

from mailstack import maillog


class Stream(io.StringIO):
    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes.append(text)
        return len(text)


@pytest.fixture
def stream(monkeypatch):
    stream = Stream()
    monkeypatch.setattr(maillog, "_stream", stream)
    yield stream
    maillog.gather(None)
    maillog.write_as("key=value")


def told(text):
    return [line.split(" ", 1)[1] for line in text.splitlines()]


def test_a_line_leaves_at_once(stream):
    maillog.log_event("one", why="a blank")
    assert told(stream.writes[-1]) == ['one why="a blank"']


def test_the_lines_of_a_turn_leave_together_and_in_order(stream):
    asked = []
    maillog.gather(asked.append)
    stream.writes.clear()
    maillog.log_event("one")
    maillog.log_event("two")
    assert (stream.writes, len(asked)) == ([], 1)
    asked.pop()()
    assert [told(text) for text in stream.writes] == [["one", "two"]]
    maillog.log_event("three")
    assert len(asked) == 1


def test_what_waits_leaves_when_gathering_ends(stream):
    maillog.gather(lambda _flush: None)
    maillog.log_event("last words")
    maillog.gather(None)
    assert told(stream.writes[-1]) == ["last words"]


def test_a_log_on_a_full_disk_does_not_stop_the_mail(stream, monkeypatch):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream, "flush", fail)
    maillog.log_event("one")
    maillog.bug("a test", ValueError("no"))


def test_as_json_a_line_is_an_object_with_the_same_fields(stream):
    maillog.write_as("json")
    maillog.log_event("one", id="A1", size=7, who=None, why=ValueError('a "ü"\nand more'))
    [line] = stream.writes[-1].splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {"event": "one", "id": "A1", "size": 7, "why": 'a "ü"\nand more'}
