"""A mail server in threads whose every answer a test can change: the other side of a whole host in a subprocess."""

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import BinaryIO

Answer = bytes | None | Callable[[str], bytes | None]
ALL = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN")


class ScriptedMx:
    """Listens at once. `answers` by line or verb, "greeting" or "content"; b"" = silence, None = hang up."""

    def __init__(
        self, address: str, port: int, extensions: Iterable[str] = ALL, answers: dict[str, Answer] | None = None
    ) -> None:
        self.extensions = list(extensions)
        self.answers = dict(answers or {})
        self.lines: list[str] = []
        self.messages: list[bytes] = []
        self.sessions = 0
        self._listener = socket.create_server((address, port), backlog=50)
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.sessions += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), connection.makefile("rb") as lines, suppress(EOFError, OSError):
            self._say(connection, "greeting", "", b"220 scripted\r\n")
            recipients = 0
            while raw := lines.readline():
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self.lines.append(line)
                verb = line.split(" ", maxsplit=1)[0].upper()
                usual = {
                    "EHLO": self._offer(),
                    "DATA": b"354 go on\r\n" if recipients else b"554 nobody\r\n",
                    "QUIT": b"221 bye\r\n",
                }
                answer = self._say(connection, verb, line, usual.get(verb, b"250 ok\r\n"))
                if verb == "QUIT":
                    return
                if verb == "DATA" and answer.startswith(b"354"):
                    self._take(connection, lines)
                    recipients = 0
                recipients += verb == "RCPT" and answer.startswith(b"250")

    def _take(self, connection: socket.socket, lines: BinaryIO) -> None:
        content = []
        while (text := lines.readline()) != b".\r\n":
            if not text:
                raise EOFError
            content.append(text.removeprefix(b"."))
        self.messages.append(b"".join(content))
        self._say(connection, "content", "", b"250 2.0.0 taken\r\n")

    def _say(self, connection: socket.socket, key: str, line: str, usual: bytes) -> bytes:
        given = self.answers.get(line, self.answers.get(key, usual))
        answer = given(line) if callable(given) else given
        if answer is None:
            raise EOFError
        connection.sendall(answer)
        return answer

    def _offer(self) -> bytes:
        words = ["scripted", *self.extensions]
        return "".join(f"250{'-' if word is not words[-1] else ' '}{word}\r\n" for word in words).encode()
