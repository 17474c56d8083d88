"""A full mail host in one process.

The path of a message:

    net/smtp_server     bytes and time-outs
    smtp/session        the protocol, pure; asks
    reception/inbound   mail from the world (MX), or
    reception/submission  mail from our accounts (MSA); both decide by policy/ and the directory in store/
    reception/intake    makes one commit of it (store/acceptance): content, maildrop entries, deliveries, timeline
    reception/watch     after the commit, tells of limits and freezes what bursts
    reception/vacation  answers for who is away, once that commit is made
    queue/runner        what is due, how much at once for each next hop
    queue/attempt       one try: route, deliver, record, retry or bounce
    policy/routing      where to
    delivery/remote     next hops in turn, connections reused
    smtp/client         the protocol from the other side, pure, moved by net/smtp_client
    policy/retry        when again
    delivery/bounce     the report to the sender, which goes through reception/intake again

The path of a fetch: net/pop3_server, pop3/session, retrieval.py, store/mailboxes, store/content.
"""

__version__ = "0.1.0"
