"""The first tables.

What they are for stands in `mailstack/store/schema.py`; a test holds the two equal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# CHECK constraints are named without their prefix `ck_TABLE_`, which the naming convention puts on.
_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_accounts()
    _create_aliases()
    _create_messages()
    _create_deliveries()
    _create_timeline()
    _create_mailboxes()
    _create_limits()
    _create_administrators()
    _create_panel()
    op.execute("INSERT INTO directory_version (id, version) VALUES (1, 1)")


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first tables: restore a backup")


def _create_accounts() -> None:
    op.create_table(
        "domain",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("next_hop", sa.Text()),
        sa.Column("expire_days", sa.Integer()),
        sa.Column("login_delay_seconds", sa.Integer()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind = 'local' OR next_hop IS NOT NULL", name="relay_has_next_hop"),
        sa.CheckConstraint("kind IN ('local', 'relay')", name="kind"),
        sa.PrimaryKeyConstraint("id", name="pk_domain"),
        sa.UniqueConstraint("name", name="uq_domain_name"),
    )
    op.create_table(
        "account",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("domain_id", _BIG_ID, nullable=False),
        sa.Column("local_part", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("quota_octets", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended')", name="state"),
        sa.CheckConstraint("quota_octets > 0", name="quota_positive"),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_account_domain_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("domain_id", "local_part", name="uq_account_domain_id_local_part"),
    )
    op.create_table(
        "credential",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("account_id", _BIG_ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scram", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('password', 'app')", name="kind"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_credential_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
        sa.UniqueConstraint("account_id", "kind", "name", name="uq_credential_account_id_kind_name"),
    )
    op.create_index("ix_credential_account_id", "credential", ["account_id"])


def _create_aliases() -> None:
    op.create_table(
        "alias",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("domain_id", _BIG_ID, nullable=False),
        sa.Column("local_part", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_alias_domain_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alias"),
        sa.UniqueConstraint("domain_id", "local_part", name="uq_alias_domain_id_local_part"),
    )
    op.create_table(
        "alias_target",
        sa.Column("alias_id", _BIG_ID, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name="fk_alias_target_alias_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alias_id", "address", name="pk_alias_target"),
    )
    op.create_table(
        "directory_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_directory_version"),
    )


def _create_messages() -> None:
    op.create_table(
        "content",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("size_octets", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("file", sa.Text()),
        sa.CheckConstraint("(body IS NULL) <> (file IS NULL)", name="in_one_place"),
        sa.PrimaryKeyConstraint("id", name="pk_content"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reverse_path", sa.Text(), nullable=False),
        sa.Column("submitter_id", _BIG_ID),
        sa.Column("content_id", _BIG_ID),
        sa.Column("size_octets", sa.BigInteger(), nullable=False),
        sa.Column("header_message_id", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column("ret", sa.Text()),
        sa.Column("envid", sa.Text()),
        sa.Column("counted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("body IN ('7BIT', '8BITMIME', 'BINARYMIME')", name="body"),
        sa.CheckConstraint("origin IN ('inbound', 'submission', 'report', 'local')", name="origin"),
        sa.CheckConstraint("ret IN ('FULL', 'HDRS')", name="ret"),
        sa.ForeignKeyConstraint(["content_id"], ["content.id"], name="fk_message_content_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["submitter_id"], ["account.id"], name="fk_message_submitter_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
    )
    op.create_index("ix_message_content_id", "message", ["content_id"])
    op.create_index("ix_message_created_at", "message", ["created_at"])
    op.create_index("ix_message_header_message_id", "message", ["header_message_id"])
    op.create_index("ix_message_reverse_path", "message", ["reverse_path"])
    op.create_index("ix_message_submitter_id", "message", ["submitter_id"])


def _create_deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("notify", sa.Integer()),
        sa.Column("orcpt", sa.Text()),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("held_by", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger()),
        sa.Column("delay_told", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_reply", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(state = 'held') = (held_by IS NOT NULL)", name="held_has_reason"),
        sa.CheckConstraint("state IN ('waiting', 'held', 'delivered', 'failed')", name="state"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_delivery_message_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["domain", "next_attempt_at", "leased_until"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_delivery_held",
        "delivery",
        ["id"],
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index("ix_delivery_message_id", "delivery", ["message_id"])
    op.create_index(
        "ix_delivery_open",
        "delivery",
        ["domain", "id"],
        sqlite_where=sa.text("state IN ('waiting', 'held')"),
        postgresql_where=sa.text("state IN ('waiting', 'held')"),
    )


def _create_timeline() -> None:
    op.create_table(
        "event",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "event IN ('accepted', 'attempt', 'delivered', 'deferred', 'failed', 'held', 'released', 'bounced',"
            " 'expired')",
            name="event",
        ),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_event_message_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_message_id", "event", ["message_id"])
    op.create_index("ix_event_recipient", "event", ["recipient"])
    op.create_table(
        "tally",
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "domain_id", "event", name="pk_tally"),
    )


def _create_mailboxes() -> None:
    op.create_table(
        "mailbox",
        sa.Column("account_id", _BIG_ID, autoincrement=False, nullable=False),
        sa.Column("used_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_messages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_login_at", sa.BigInteger()),
        sa.Column("locked_by", sa.Text()),
        sa.Column("locked_until", sa.BigInteger()),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_mailbox_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", name="pk_mailbox"),
    )
    op.create_table(
        "maildrop_entry",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("account_id", _BIG_ID, nullable=False),
        sa.Column("content_id", _BIG_ID, nullable=False),
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.LargeBinary(), nullable=False),
        sa.Column("size_octets", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_maildrop_entry_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["content_id"], ["content.id"], name="fk_maildrop_entry_content_id"),
        sa.PrimaryKeyConstraint("id", name="pk_maildrop_entry"),
        sa.UniqueConstraint("account_id", "unique_id", name="uq_maildrop_entry_account_id_unique_id"),
    )
    op.create_index("ix_maildrop_entry_content_id", "maildrop_entry", ["content_id"])


def _create_limits() -> None:
    op.create_table(
        "limit_rule",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("messages", sa.Integer()),
        sa.Column("recipients", sa.Integer()),
        sa.Column("over", sa.Text(), server_default="refuse", nullable=False),
        sa.CheckConstraint("over IN ('hold', 'refuse')", name="over"),
        sa.CheckConstraint("per IN ('minute', 'hour', 'day')", name="per"),
        sa.CheckConstraint("messages >= 0 AND recipients >= 0", name="not_negative"),
        sa.CheckConstraint("messages IS NOT NULL OR recipients IS NOT NULL", name="limits_something"),
        sa.PrimaryKeyConstraint("id", name="pk_limit_rule"),
        sa.UniqueConstraint("scope", "per", name="uq_limit_rule_scope_per"),
    )
    op.create_table(
        "usage",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("second", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain_id", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "second", name="pk_usage"),
    )
    op.create_index("ix_usage_domain", "usage", ["domain_id", "second"])


def _create_administrators() -> None:
    op.create_table(
        "administrator",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("all_domains", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_administrator"),
        sa.UniqueConstraint("name", name="uq_administrator_name"),
    )
    op.create_table(
        "role",
        sa.Column("administrator_id", _BIG_ID, nullable=False),
        sa.Column("domain_id", _BIG_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name="fk_role_administrator_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_role_domain_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("administrator_id", "domain_id", name="pk_role"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    op.create_index("ix_audit_entry_object", "audit_entry", ["object"])


def _create_panel() -> None:
    op.create_table(
        "panel_session",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("administrator_id", _BIG_ID),
        sa.Column("account_id", _BIG_ID),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(administrator_id IS NULL) <> (account_id IS NULL)", name="of_one_person"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_panel_session_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name="fk_panel_session_administrator_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_panel_session"),
        sa.UniqueConstraint("token_hash", name="uq_panel_session_token_hash"),
    )
    op.create_index("ix_panel_session_account_id", "panel_session", ["account_id"])
    op.create_index("ix_panel_session_administrator_id", "panel_session", ["administrator_id"])
    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_setting"),
    )
