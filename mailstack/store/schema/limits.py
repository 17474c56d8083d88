"""Sending limits, and what counts against them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from mailstack.store.schema.base import BigId, metadata

limit_rule = Table(
    "limit_rule",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("scope", Text, nullable=False),  # '*', 'example.org', 'each@example.org' or an account's address
    Column("per", Text, nullable=False),
    Column("messages", Integer),
    Column("recipients", Integer),
    Column("first_time", Integer),  # recipients the account never wrote to before
    Column("over", Text, nullable=False, server_default="refuse"),
    UniqueConstraint("scope", "per"),
    CheckConstraint("per IN ('message', 'minute', 'hour', 'day')", name="per"),
    CheckConstraint("over IN ('hold', 'refuse')", name="over"),
    CheckConstraint("messages >= 0 AND recipients >= 0 AND first_time >= 0", name="not_negative"),
    CheckConstraint("coalesce(messages, recipients, first_time) IS NOT NULL", name="limits_something"),
    CheckConstraint(
        "per <> 'message' OR (messages IS NULL AND first_time IS NULL AND over = 'refuse')", name="message_window"
    ),
)

usage = Table(
    "usage",  # what accounts submitted, summed by the second; windows slide over it
    metadata,
    Column(
        "account_id", BigInteger, primary_key=True, autoincrement=False
    ),  # no foreign key: a count outlives its account
    Column("second", BigInteger, primary_key=True, autoincrement=False),  # since 1970
    Column("domain_id", BigInteger, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("first_time", Integer, nullable=False, server_default="0"),
    Index("ix_usage_domain", "domain_id", "second"),
)

known_recipient = Table(
    "known_recipient",  # whom an account has written to: who is not here is a first-time recipient
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("address", Text, primary_key=True),  # Address.key
    Column("first_at", BigInteger, nullable=False),
)

limit_notice = Table(
    "limit_notice",  # the last word to an account that a rule is nearly or wholly used up: one each a window
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("scope", Text, primary_key=True),
    Column("per", Text, primary_key=True),
    Column("percent", Integer, primary_key=True, autoincrement=False),  # 80 or 100
    Column("at", BigInteger, nullable=False),
)

login_network = Table(
    "login_network",  # where an account's owner logs in from: many new ones at once are a sign of a stolen password
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("network", Text, primary_key=True),  # IPv4 /24, IPv6 /48
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)
