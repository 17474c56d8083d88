"""Mail on its way and at rest: content once, then maildrop entries, deliveries, and the timeline."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mailstack.store.schema.base import BigId, metadata

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
    Column("subject_hash", Text, nullable=False, server_default=""),  # to be found by its subject, never read
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
    Index("ix_message_reverse_path", text("lower(reverse_path)")),  # people search in any case
    Index(
        "ix_message_subject_hash",
        "subject_hash",
        sqlite_where=text("subject_hash <> ''"),
        postgresql_where=text("subject_hash <> ''"),
    ),
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
    Column("held_by", Text),  # why, in words: 'administrator', 'limit: RULE' or 'frozen: WHY'
    Column("held_for", BigInteger),  # the account whose limits let it go by themselves; its removal clears it
    Column("is_bulk", Boolean, nullable=False, server_default=text("false")),  # second lane: people go first
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger),  # a node is at it until then; 0 = an administrator wants it tried at once
    Column("delay_told", Boolean, nullable=False, server_default=text("false")),
    Column("last_reply", Text, nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('waiting', 'held', 'delivered', 'failed')", name="state"),
    CheckConstraint("(state = 'held') = (held_by IS NOT NULL)", name="held_has_reason"),
    Index(
        "ix_delivery_due",  # by destination and lane, so that none waits behind another's backlog
        "domain",
        "is_bulk",
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
        "ix_delivery_held_for",
        "held_for",
        "id",
        sqlite_where=text("held_for IS NOT NULL"),
        postgresql_where=text("held_for IS NOT NULL"),
    ),
    Index(
        "ix_delivery_open",
        "domain",
        "id",
        "state",  # so that a long queue is counted in the index alone
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
    Column("recipient", Text, nullable=False),  # '' = the message as a whole
    Column("detail", Text, nullable=False),
    Index("ix_event_recipient", text("lower(recipient)")),
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
