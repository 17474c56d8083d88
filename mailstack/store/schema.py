"""The tables, once, for SQLite and PostgreSQL alike.

Times are integers: microseconds since 1970, UTC, so that they compare and index the same on both databases;
`micros` and `from_micros` convert. Domains and addresses are kept in the form they are compared by (`mail/domain`,
`Address.key`). The path of a message through the tables: `content` and `message` once, then a `maildrop_entry` for
each local recipient, a `delivery` for each remote or held one, and `event` rows that tell its story. Neighbours:
`migrations/` builds these tables; a test holds the two equal.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER PRIMARY KEY

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The moment of a stored time, in UTC."""
    return _EPOCH + timedelta(microseconds=value)


# --- what we host ---

domain = Table(
    "domain",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("next_hop", Text),  # host[:port]; for a relay domain, or instead of MX
    Column("expire_days", Integer),  # POP3 EXPIRE; NULL = the setting
    Column("login_delay_seconds", Integer),  # POP3 LOGIN-DELAY; NULL = the setting
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('local', 'relay')", name="kind"),
    CheckConstraint("kind = 'local' OR next_hop IS NOT NULL", name="relay_has_next_hop"),
)

account = Table(
    "account",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("domain_id", ForeignKey("domain.id"), nullable=False),
    Column("local_part", Text, nullable=False),  # lower case
    Column("state", Text, nullable=False, server_default="active"),
    Column("quota_octets", BigInteger),  # NULL = unlimited
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("domain_id", "local_part"),
    CheckConstraint("state IN ('active', 'suspended')", name="state"),
    CheckConstraint("quota_octets > 0", name="quota_positive"),
)

credential = Table(
    "credential",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),  # what an app password is for
    Column("hash", Text, nullable=False),  # passlib, argon2id
    Column("scram", Text),  # SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY (RFC 5803)
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "kind", "name"),
    CheckConstraint("kind IN ('password', 'app')", name="kind"),
)

alias = Table(
    "alias",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("domain_id", ForeignKey("domain.id"), nullable=False),
    Column("local_part", Text, nullable=False),  # lower case; '' = the catch-all
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("domain_id", "local_part"),
)

alias_target = Table(
    "alias_target",
    metadata,
    Column("alias_id", ForeignKey("alias.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True),  # as given, domain in A-label form
)

directory_version = Table(
    "directory_version",  # one row; each change of the directory adds one to it in the same transaction
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

# --- mail ---

content = Table(
    "content",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("size_octets", BigInteger, nullable=False),
    Column("body", LargeBinary),
    Column("file", Text),  # a name below the content folder, or an object's key
    CheckConstraint("(body IS NULL) <> (file IS NULL)", name="in_one_place"),
)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),  # the queue ID (mail/queue_id)
    Column("origin", Text, nullable=False),
    Column("reverse_path", Text, nullable=False),  # '' = the null sender
    Column("submitter_id", ForeignKey("account.id", ondelete="SET NULL"), index=True),
    Column("content_id", ForeignKey("content.id", ondelete="SET NULL"), index=True),
    Column("size_octets", BigInteger, nullable=False),
    Column("header_message_id", Text, nullable=False, server_default=""),  # Message-ID without angle brackets
    Column("body", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("ret", Text),
    Column("envid", Text),
    Column("counted", Boolean, nullable=False, server_default=text("false")),  # stands in `usage` as a message
    Column("created_at", BigInteger, nullable=False, index=True),
    CheckConstraint("origin IN ('inbound', 'submission', 'report', 'local')", name="origin"),
    CheckConstraint("body IN ('7BIT', '8BITMIME', 'BINARYMIME')", name="body"),
    CheckConstraint("ret IN ('FULL', 'HDRS')", name="ret"),
    Index("ix_message_header_message_id", "header_message_id"),
    Index("ix_message_reverse_path", "reverse_path"),
)

delivery = Table(
    "delivery",  # one recipient of one message that is still to be served, or was served from the queue
    metadata,
    Column("id", BigId, primary_key=True),
    Column("message_id", ForeignKey("message.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("recipient", Text, nullable=False),
    Column("domain", Text, nullable=False),  # the recipient's, A-label: the destination when nothing else routes it
    Column("notify", Integer),  # Notify's value; NULL = the client said nothing
    Column("orcpt", Text),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("held_by", Text),  # 'administrator', or 'limit: SCOPE per PERIOD'
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger),  # a node is at it until then; 0 = an administrator wants it tried at once
    Column("delay_told", Boolean, nullable=False, server_default=text("false")),
    Column("last_reply", Text, nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('waiting', 'held', 'delivered', 'failed')", name="state"),
    CheckConstraint("(state = 'held') = (held_by IS NOT NULL)", name="held_has_reason"),
    Index(
        "ix_delivery_due",  # by destination, so that none waits behind another's backlog
        "domain",
        "next_attempt_at",
        "leased_until",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "ix_delivery_held",
        "id",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
    Index(
        "ix_delivery_open",
        "domain",
        "id",
        sqlite_where=text("state IN ('waiting', 'held')"),
        postgresql_where=text("state IN ('waiting', 'held')"),
    ),
)

event = Table(
    "event",  # the timeline
    metadata,
    Column("id", BigId, primary_key=True),
    Column("message_id", ForeignKey("message.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("recipient", Text, nullable=False, index=True),  # '' = the message as a whole
    Column("detail", Text, nullable=False),
    CheckConstraint(
        "event IN ('accepted', 'attempt', 'delivered', 'deferred', 'failed', 'held', 'released', 'bounced', 'expired')",
        name="event",
    ),
)

mailbox = Table(
    "mailbox",  # what an account's maildrop holds, counted in the commits that change it
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("used_octets", BigInteger, nullable=False, server_default="0"),
    Column("used_messages", BigInteger, nullable=False, server_default="0"),
    Column("last_login_at", BigInteger),
    Column("locked_by", Text),  # the node with an open POP3 session; only where nodes share a database
    Column("locked_until", BigInteger),  # its lease: a node that died holds a maildrop no longer
)

maildrop_entry = Table(
    "maildrop_entry",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("content_id", ForeignKey("content.id"), nullable=False, index=True),
    Column("unique_id", Text, nullable=False),  # for ever, also through a restore
    Column("prefix", LargeBinary, nullable=False),  # Return-Path and Delivered-To of this recipient, CRLF
    Column("size_octets", BigInteger, nullable=False),  # prefix and content
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "unique_id"),
)

# --- sending limits ---

limit_rule = Table(
    "limit_rule",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("scope", Text, nullable=False),  # '*', 'example.org', 'each@example.org' or an account's address
    Column("per", Text, nullable=False),
    Column("messages", Integer),
    Column("recipients", Integer),
    Column("over", Text, nullable=False, server_default="refuse"),
    UniqueConstraint("scope", "per"),
    CheckConstraint("per IN ('minute', 'hour', 'day')", name="per"),
    CheckConstraint("over IN ('hold', 'refuse')", name="over"),
    CheckConstraint("messages >= 0 AND recipients >= 0", name="not_negative"),
    CheckConstraint("messages IS NOT NULL OR recipients IS NOT NULL", name="limits_something"),
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
    Index("ix_usage_domain", "domain_id", "second"),
)

# --- who runs it ---

administrator = Table(
    "administrator",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False),
    Column("all_domains", Boolean, nullable=False),  # a superadministrator; else `role` names the domains
    Column("created_at", BigInteger, nullable=False),
)

role = Table(
    "role",
    metadata,
    Column("administrator_id", ForeignKey("administrator.id", ondelete="CASCADE"), primary_key=True),
    Column("domain_id", ForeignKey("domain.id", ondelete="CASCADE"), primary_key=True),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("source", Text, nullable=False),  # an IP address, or 'command line'
    Column("act", Text, nullable=False),  # e.g. 'account.add'
    Column("object", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
)

panel_session = Table(
    "panel_session",  # who is signed in to the panel; the cookie holds a token, this row only its hash
    metadata,
    Column("id", BigId, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("administrator_id", ForeignKey("administrator.id", ondelete="CASCADE"), index=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), index=True),
    Column("source", Text, nullable=False),  # the address signed in from
    Column("agent", Text, nullable=False, server_default=""),  # what the browser calls itself
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    CheckConstraint("(administrator_id IS NULL) <> (account_id IS NULL)", name="of_one_person"),
)

tally = Table(
    "tally",  # events of the timeline, counted by the hour for the panel's pictures; outlives the timeline
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # hours since 1970
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),  # the submitter's; 0 = mail from outside
    Column("event", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

setting = Table(
    "setting",  # keys and secrets of the host that are no person's business
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
