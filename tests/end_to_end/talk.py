"""A client of octets for the contract tests: says exactly what a test writes, reads replies, never helps."""

import base64
import socket

from tests.host import PASSWORD, Host

CHUNK = 64 * 1024


def plain(username: str, password: str = PASSWORD, authzid: str = "") -> str:
    """The one message of PLAIN, in base64."""
    return base64.b64encode(f"{authzid}\0{username}\0{password}".encode()).decode()


class Talk:
    """One connection to a service of a host; the greeting is read."""

    def __init__(self, host: Host, service: str, *, tls: bool = False) -> None:
        self._host = host
        self._buffer = b""
        self.socket = socket.create_connection((host.address, host.ports[service]), timeout=60)
        if tls:
            self.start_tls()
        self.greeting = self.line()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def start_tls(self) -> None:
        """The handshake; what was not read of the plain connection is lost, as it must be."""
        self.socket = self._host.tls().wrap_socket(self.socket)
        self._buffer = b""

    def send(self, text: str | bytes, *, bytewise: bool = False) -> None:
        octets = text.encode() if isinstance(text, str) else text
        if bytewise:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in octets:
                self.socket.sendall(bytes([octet]))
        else:
            self.socket.sendall(octets)

    def line(self) -> str:
        """The next line without its CRLF; empty when the server has closed."""
        while b"\r\n" not in self._buffer:
            data = self.socket.recv(CHUNK)
            if not data:
                return ""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode()

    # --- SMTP ---

    def reply(self) -> str:
        """The next reply of an SMTP server; the lines of a longer one keep their CRLF between them."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\r\n".join(lines)

    def smtp(self, *commands: str) -> list[str]:
        """Say the commands in one piece; their replies."""
        self.send("".join(f"{command}\r\n" for command in commands))
        return [self.reply() for _ in commands]

    def mail(self, content: str | bytes, *recipients: str, sender: str = "a@b.example", parameters: str = "") -> str:
        """A transaction; the reply to its content (already stuffed, without its dot), or the refusal before it."""
        envelope = [f"MAIL FROM:<{sender}>{parameters}", *(f"RCPT TO:<{recipient}>" for recipient in recipients)]
        for reply in self.smtp(*envelope, "DATA"):
            if reply[0] in "45":
                self.smtp("RSET")
                return reply
        octets = content.encode() if isinstance(content, str) else content
        self.send(octets + b".\r\n")
        return self.reply()

    # --- POP3 ---

    def pop(self, *commands: str) -> list[str]:
        """Say the commands in one piece; the first line of each answer (of those that have one line only)."""
        self.send("".join(f"{command}\r\n" for command in commands))
        return [self.line() for _ in commands]

    def pop_lines(self, command: str) -> list[str]:
        """The lines of a long answer, its first and its dot left out."""
        first = self.pop(command)[0]
        assert first.startswith("+OK"), first
        lines = []
        while (line := self.line()) != ".":
            lines.append(line)
        return lines


def mx(host: Host) -> Talk:
    """A session on the inbound port, EHLO said."""
    talk = Talk(host, "smtp")
    talk.smtp("EHLO client.example")
    return talk


def submission(host: Host, account: str) -> Talk:
    """A session on the port for implicit TLS, logged in."""
    talk = Talk(host, "submissions", tls=True)
    talk.smtp("EHLO client.example", f"AUTH PLAIN {plain(account)}")
    return talk


def pop3(host: Host, account: str) -> Talk:
    """A POP3 session, logged in."""
    talk = Talk(host, "pop3s", tls=True)
    answers = talk.pop(f"USER {account}", f"PASS {PASSWORD}")
    assert answers[1].startswith("+OK"), answers
    return talk


def take_all(host: Host, account: str) -> list[str]:
    """All mails of an account as text, unstuffed; the maildrop is empty afterwards."""
    with pop3(host, account) as talk:
        count = int(talk.pop("STAT")[0].split()[1])
        mails = []
        for number in range(1, count + 1):
            lines = talk.pop_lines(f"RETR {number}")
            mails.append("".join(line.removeprefix(".") + "\r\n" for line in lines))
            talk.pop(f"DELE {number}")
        assert talk.pop("QUIT") == ["+OK Bye"]
    return mails


def take_one(host: Host, account: str) -> str:
    """The only mail of an account."""
    (mail,) = take_all(host, account)
    return mail
