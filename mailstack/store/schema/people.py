"""Who runs the host and uses the panel: roles, sessions, second factors, tokens, deeds; and the host's settings."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Table, Text, UniqueConstraint

from mailstack.store.schema.base import BigId, metadata

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

factor = Table(
    "factor",  # what a sign-in asks for beside the password
    metadata,
    Column("id", BigId, primary_key=True),
    Column("administrator_id", ForeignKey("administrator.id", ondelete="CASCADE"), index=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), index=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),  # what its owner calls it
    Column("key", Text, nullable=False),  # TOTP's secret, a passkey's credential ID, a recovery code's hash
    Column("public_key", Text, nullable=False, server_default=""),  # a passkey's
    Column("counter", BigInteger, nullable=False, server_default="0"),  # TOTP's last step, a passkey's sign count
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    UniqueConstraint("kind", "key"),
    CheckConstraint("kind IN ('totp', 'passkey', 'recovery')", name="kind"),
    CheckConstraint("(administrator_id IS NULL) <> (account_id IS NULL)", name="of_one_person"),
)

api_token = Table(
    "api_token",  # a program's way in; it holds the token, this row only its hash
    metadata,
    Column("id", BigId, primary_key=True),
    Column("administrator_id", ForeignKey("administrator.id", ondelete="CASCADE"), index=True),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), index=True),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # words, a blank between
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # NULL = never
    Column("used_at", BigInteger),
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
