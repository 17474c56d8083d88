"""Mail sent without pause by several clients through whatever happens to the host, with what they were promised."""

import smtplib
import threading

from tests.host import Host, send, wait_until

LARGE_EACH = 10
"""Every tenth mail is too large for the database and lies in a file."""
LARGE_LINES = 6000


class Load:
    """Clients on port 25 in threads; a `with` block ends them.

    Each mail has a name of its own and is tried once: a client that heard no 250 goes on with the next name.
    """

    def __init__(self, host: Host, recipients: list[str], clients: int = 4) -> None:
        self.promised: list[str] = []
        self.refusals: list[bytes] = []
        self._host = host
        self._recipients = recipients
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Return once so many more mails have their 250."""
        wanted = len(self.promised) + count
        wait_until(lambda: len(self.promised) >= wanted, f"{count} more mails\n{self._host.log_text()[-2000:]}", 60)

    def _run(self, client: int) -> None:
        number = 0
        while not self._is_over.is_set():
            try:
                with self._host.mx() as session:
                    while not self._is_over.is_set():
                        number += 1
                        self._send(session, f"{client}-{number}", is_large=number % LARGE_EACH == 0)
            except smtplib.SMTPResponseException as refused:
                self.refusals.append(refused.smtp_error if isinstance(refused.smtp_error, bytes) else b"")
                self._is_over.wait(0.05)
            except (smtplib.SMTPException, OSError):
                self._is_over.wait(0.05)

    def _send(self, session: smtplib.SMTP, name: str, *, is_large: bool) -> None:
        send(session, "", self._recipients, make_content(name, is_large=is_large))
        with self._lock:
            self.promised.append(name)


def make_content(name: str, *, is_large: bool = False) -> bytes:
    """A mail that says its name in each line."""
    lines = LARGE_LINES if is_large else 3
    return f"Message-ID: <{name}@load>\r\n\r\n".encode() + f"{name} is my name\r\n".encode() * lines


def names_of(mails: list[bytes]) -> list[str]:
    """The names of mails that are whole; AssertionError about one that is not."""
    names = []
    for mail in mails:
        body = mail.partition(b"\r\n\r\n")[2]
        name = body.partition(b" ")[0].decode()
        line = f"{name} is my name\r\n".encode()
        assert body in (line * 3, line * LARGE_LINES), f"half a mail: {mail[:200]!r}"
        names.append(name)
    return names
