"""The queue's pages: filters, acts on picked lines and on all of a filter, what each role sees."""

import pytest

from admin_ui.core.panel import Panel
from mailstack.management import queue
from mailstack.management.queue import Selection
from mailstack.store.database import Connection
from tests.panel.conftest import ROOT, Browsers
from tests.store.spooled import put_message


@pytest.fixture
def numbers(panel: Panel) -> list[int]:
    """Two that wait, of example.test and other.test, and one that a limit holds."""

    def fill(connection: Connection) -> list[int]:
        refused = "550 5.7.26 unauthenticated mail is not taken"
        found = put_message(connection, "M1", ["a@far.example"], reverse_path="ann@example.test", last_reply=refused)
        found += put_message(connection, "M2", ["b@far.example"], reverse_path="x@other.test", attempts=2)
        values = {"state": "held", "held_by": "limit: 5 recipients per hour for ann@example.test"}
        return found + put_message(connection, "M3", ["c@near.example"], reverse_path="ann@example.test", **values)

    return panel.database.write_now(fill)


def states(panel: Panel) -> dict[str, str]:
    rows = panel.database.read_now(lambda connection: queue.find(connection, ROOT, Selection()))
    return {row["recipient"]: row["state"] for row in rows}


def test_the_list_shows_words_and_what_they_mean(numbers: list[int], browser: Browsers) -> None:
    page = browser("root").get("/queue/").text
    assert "550 5.7.26" in page
    assert "SPF" in page  # what the code means
    assert "5 recipients per hour for ann@example.test" in page
    assert page.index("a@far.example") < page.index("b@far.example") < page.index("c@near.example")


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("destination=far.example", "ab"),
        ("sender=ann@example.test", "ac"),
        ("sender=@other.test", "b"),
        ("state=held", "c"),
        ("state=held&destination=far.example", ""),
        ("age=3d", "abc"),
        ("destination=no..domain", ""),
        ("state=nonsense", ""),
    ],
)
def test_filters(numbers: list[int], browser: Browsers, query: str, seen: str) -> None:
    page = browser("root").get(f"/queue/?{query}").text
    assert [name for name in "abc" if f"{name}@" in page.partition("<tbody>")[2]] == list(seen)


def test_administrators_see_and_move_what_their_domains_send(
    numbers: list[int], browser: Browsers, panel: Panel
) -> None:
    olga = browser("olga")
    assert "b@far.example" not in olga.get("/queue/").text
    olga.post("/queue/picked", data={"number": numbers, "act": "hold"})
    assert states(panel) == {"a@far.example": "held", "b@far.example": "waiting", "c@near.example": "held"}
    assert "far.example" not in browser("sven").get("/queue/?destination=near.example").text.partition("<tbody>")[2]
    assert browser("ann").get("/queue/").status_code == 403


def test_what_is_picked_is_done_at_once_and_wakes_the_queue(
    numbers: list[int], browser: Browsers, panel: Panel
) -> None:
    answer = browser("root").post("/queue/picked", data={"number": numbers[2], "act": "release"}, follow_redirects=True)
    assert "1 delivery released." in answer.text
    assert states(panel)["c@near.example"] == "waiting"


def test_nothing_is_dropped_unsaid(numbers: list[int], browser: Browsers, panel: Panel) -> None:
    root = browser("root")
    warning = root.post("/queue/picked", data={"number": numbers[:2], "act": "drop"}, follow_redirects=True)
    assert "Drop 2 deliveries?" in warning.text
    assert "their senders are not told" in warning.text
    assert len(states(panel)) == 3
    root.post(warning.request.full_path if hasattr(warning.request, "full_path") else warning.request.path, data={})
    assert list(states(panel)) == ["c@near.example"]


def test_all_of_a_filter(numbers: list[int], browser: Browsers, panel: Panel) -> None:
    root = browser("root")
    said = root.get("/queue/all/hold?destination=far.example").text
    assert "Hold 2 deliveries?" in said
    assert "to far.example" in said
    root.post("/queue/all/hold?destination=far.example")
    assert set(states(panel).values()) == {"held"}


@pytest.mark.parametrize("data", [{}, {"act": "hold"}, {"number": "1"}, {"number": "x", "act": "burn"}])
def test_a_form_without_sense_changes_nothing(
    numbers: list[int], browser: Browsers, panel: Panel, data: dict[str, str]
) -> None:
    before = states(panel)
    assert "Pick one or more lines" in browser("root").post("/queue/picked", data=data, follow_redirects=True).text
    assert states(panel) == before


def test_destinations(numbers: list[int], browser: Browsers) -> None:
    page = browser("root").get("/queue/destinations").text
    assert page.index("far.example") < page.index("near.example")
    assert "nothing due" in page


def test_an_empty_queue_says_so(browser: Browsers) -> None:
    assert "The queue is empty" in browser("root").get("/queue/").text
    assert "Nothing is on its way" in browser("root").get("/queue/destinations").text
