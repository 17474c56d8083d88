"""A name server of dnspython on a loopback port, UDP and TCP, in threads of its own."""

import socket
import struct
import threading
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


def _one_port():
    """A UDP and a TCP socket on the same port, which another test may have for one of them."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
    raise OSError("no port is free for both UDP and TCP")


class FakeDns:
    """Answers from `zone`: {(name, type): [record text, ...] | rcode text | "truncate:<n>" | "silent"}."""

    def __init__(self, zone):
        self.zone = zone
        self.asked = Counter()
        self.saw_edns = False
        self.refuses_edns = False
        self.udp, self.tcp = _one_port()
        self.port = self.udp.getsockname()[1]
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def close(self):
        self.udp.close()
        self.tcp.close()

    @property
    def server(self):
        return f"127.0.0.1:{self.port}"

    def _serve_udp(self):
        while True:
            try:
                octets, client = self.udp.recvfrom(4096)
                answer = self._answer(octets, "udp")
                if answer:
                    self.udp.sendto(answer, client)
            except OSError:
                return

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                (size,) = struct.unpack("!H", connection.recv(2))
                answer = self._answer(connection.recv(size), "tcp")
                connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, octets, transport):
        query = dns.message.from_wire(octets)
        self.saw_edns |= query.edns >= 0
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind, transport] += 1
        reply = dns.message.make_response(query, recursion_available=True)
        if self.refuses_edns and query.edns >= 0:
            reply = dns.message.make_response(dns.message.from_wire(octets[:10] + b"\0\0" + octets[12:-11]))
            reply.set_rcode(dns.rcode.FORMERR)
            return reply.to_wire()
        data = self.zone.get((name, kind), self.zone.get((name, "*"), []))
        if data == "silent":
            return None
        if data == "truncate" and transport == "udp":
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        if isinstance(data, str) and data != "truncate":
            reply.set_rcode(dns.rcode.from_text(data))
        else:
            self._fill(reply, name, kind, self.zone["tcp"] if data == "truncate" else data)
        return reply.to_wire(max_size=65535)

    def _fill(self, reply, name, kind, texts):
        for text in texts:
            owner, type_, value = text.split(" ", 2) if text.startswith("@") else (name, kind, text)
            reply.answer.append(dns.rrset.from_text(owner.removeprefix("@") + ".", 60, "IN", type_, value))
