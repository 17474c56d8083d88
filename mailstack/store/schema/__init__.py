"""The tables, once, for SQLite and PostgreSQL alike.

Times are integers: microseconds since 1970, UTC, so that they compare and index the same on both databases;
`micros` and `from_micros` convert. Domains and addresses are kept in the form they are compared by (`mail/domain`,
`Address.key`). The path of a message through the tables: `content` and `message` once, then a `maildrop_entry` for
each local recipient, a `delivery` for each remote or held one, and `event` rows that tell its story. Neighbours:
`migrations/` builds these tables; a test holds the two equal.
"""

from mailstack.store.schema.base import from_micros, metadata, micros
from mailstack.store.schema.hosted import (
    account,
    alias,
    alias_target,
    credential,
    directory_version,
    domain,
    forward,
    vacation,
    vacation_sent,
)
from mailstack.store.schema.limits import known_recipient, limit_notice, limit_rule, login_network, usage
from mailstack.store.schema.mail import content, delivery, event, mailbox, maildrop_entry, message
from mailstack.store.schema.people import (
    administrator,
    api_token,
    audit_entry,
    factor,
    panel_session,
    role,
    setting,
    tally,
)

__all__ = [
    "account",
    "administrator",
    "alias",
    "alias_target",
    "api_token",
    "audit_entry",
    "content",
    "credential",
    "delivery",
    "directory_version",
    "domain",
    "event",
    "factor",
    "forward",
    "from_micros",
    "known_recipient",
    "limit_notice",
    "limit_rule",
    "login_network",
    "mailbox",
    "maildrop_entry",
    "message",
    "metadata",
    "micros",
    "panel_session",
    "role",
    "setting",
    "tally",
    "usage",
    "vacation",
    "vacation_sent",
]
