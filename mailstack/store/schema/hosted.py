"""What we host: domains, accounts with their credentials, aliases, and the version of all that."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mailstack.store.schema.base import BigId, metadata

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
    Column("keeps_copy", Boolean, nullable=False, server_default=text("true")),  # of what its `forward` rows send on
    Column("frozen_at", BigInteger),  # sending is held until somebody looks; receiving goes on. NULL = it is not
    Column("frozen_why", Text, nullable=False, server_default=""),
    Column("unfrozen_at", BigInteger),  # what went before says nothing any more: somebody has looked
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

forward = Table(
    "forward",  # where an account's mail goes as well, or instead (`keeps_copy`)
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True),  # as given, domain in A-label form
)

vacation = Table(
    "vacation",  # what an account answers by itself (RFC 3834)
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("starts_at", BigInteger),  # NULL = at once
    Column("ends_at", BigInteger),  # NULL = until it is taken back
)

vacation_sent = Table(
    "vacation_sent",  # who was answered, so that nobody is answered again for a week
    metadata,
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("address", Text, primary_key=True),  # Address.key
    Column("at", BigInteger, nullable=False),
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
