"""Limits on first-time recipients, frozen accounts, forwards, vacation replies, second factors, tokens, bulk mail.

What they are for stands in `mailstack/store/schema/`; a test holds the two equal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _rebuild_limit_rules()
    _add_columns()
    _change_deliveries()
    _create_limits()
    _remember_recipients()
    _create_account_services()
    _create_people()
    _rebuild_indexes()


def downgrade() -> None:
    raise NotImplementedError("a step back would lose what was set since: restore a backup")


def _rebuild_limit_rules() -> None:
    # Its CHECK constraints change, and SQLite cannot change those of a table: its few rows are written anew.
    rows = op.get_bind().execute(sa.text("SELECT scope, per, messages, recipients, over FROM limit_rule ORDER BY id"))
    kept = [dict(row._mapping) for row in rows]
    op.drop_table("limit_rule")
    table = op.create_table(
        "limit_rule",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("messages", sa.Integer()),
        sa.Column("recipients", sa.Integer()),
        sa.Column("first_time", sa.Integer()),
        sa.Column("over", sa.Text(), nullable=False, server_default="refuse"),
        sa.PrimaryKeyConstraint("id", name="pk_limit_rule"),
        sa.UniqueConstraint("scope", "per", name="uq_limit_rule_scope_per"),
        sa.CheckConstraint("per IN ('message', 'minute', 'hour', 'day')", name="per"),
        sa.CheckConstraint("over IN ('hold', 'refuse')", name="over"),
        sa.CheckConstraint("messages >= 0 AND recipients >= 0 AND first_time >= 0", name="not_negative"),
        sa.CheckConstraint("coalesce(messages, recipients, first_time) IS NOT NULL", name="limits_something"),
        sa.CheckConstraint(
            "per <> 'message' OR (messages IS NULL AND first_time IS NULL AND over = 'refuse')", name="message_window"
        ),
    )
    if kept:
        op.bulk_insert(table, kept)


def _add_columns() -> None:
    op.add_column("account", sa.Column("keeps_copy", sa.Boolean(), nullable=False, server_default=sa.text("true")))
    op.add_column("account", sa.Column("frozen_at", sa.BigInteger()))
    op.add_column("account", sa.Column("frozen_why", sa.Text(), nullable=False, server_default=""))
    op.add_column("account", sa.Column("unfrozen_at", sa.BigInteger()))
    op.add_column("usage", sa.Column("first_time", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("message", sa.Column("subject_hash", sa.Text(), nullable=False, server_default=""))
    has_one = sa.text("subject_hash <> ''")
    op.create_index(
        "ix_message_subject_hash", "message", ["subject_hash"], sqlite_where=has_one, postgresql_where=has_one
    )


def _change_deliveries() -> None:
    op.add_column("delivery", sa.Column("is_bulk", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("delivery", sa.Column("held_for", sa.BigInteger()))
    op.execute(
        "UPDATE delivery SET held_for = (SELECT submitter_id FROM message WHERE message.id = delivery.message_id)"
        " WHERE state = 'held' AND held_by LIKE 'limit:%'"
    )
    is_held_for = sa.text("held_for IS NOT NULL")
    op.create_index(
        "ix_delivery_held_for",
        "delivery",
        ["held_for", "id"],
        sqlite_where=is_held_for,
        postgresql_where=is_held_for,
    )
    op.drop_index("ix_delivery_due", "delivery")
    is_waiting = sa.text("state = 'waiting'")
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["domain", "is_bulk", "next_attempt_at", "leased_until"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )


def _remember_recipients() -> None:
    """Whom accounts have written to, as far as the timeline and the queue tell: they are no first-time recipients."""
    op.execute(
        "INSERT INTO known_recipient (account_id, address, first_at)"
        " SELECT submitter_id, address, min(at) FROM ("
        "  SELECT m.submitter_id, lower(e.recipient) AS address, e.at"
        "   FROM event e JOIN message m ON m.id = e.message_id WHERE e.recipient <> ''"
        "  UNION ALL SELECT m.submitter_id, lower(d.recipient), d.created_at"
        "   FROM delivery d JOIN message m ON m.id = d.message_id"
        " ) AS written WHERE submitter_id IS NOT NULL GROUP BY submitter_id, address"
    )


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=f"fk_{table}_account_id", ondelete="CASCADE")


def _create_limits() -> None:
    op.create_table(
        "known_recipient",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        _of_account("known_recipient"),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_known_recipient"),
    )
    op.create_table(
        "limit_notice",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        _of_account("limit_notice"),
        sa.PrimaryKeyConstraint("account_id", "scope", "per", "percent", name="pk_limit_notice"),
    )
    op.create_table(
        "login_network",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        _of_account("login_network"),
        sa.PrimaryKeyConstraint("account_id", "network", name="pk_login_network"),
    )


def _create_account_services() -> None:
    op.create_table(
        "forward",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("address", sa.Text(), nullable=False),
        _of_account("forward"),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_forward"),
    )
    op.create_table(
        "vacation",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger()),
        sa.Column("ends_at", sa.BigInteger()),
        _of_account("vacation"),
        sa.PrimaryKeyConstraint("account_id", name="pk_vacation"),
    )
    op.create_table(
        "vacation_sent",
        sa.Column("account_id", _BIG_ID, nullable=False, autoincrement=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        _of_account("vacation_sent"),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_vacation_sent"),
    )


def _of_one_person(table: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrator.id"], name=f"fk_{table}_administrator_id", ondelete="CASCADE"
        ),
        _of_account(table),
        sa.CheckConstraint("(administrator_id IS NULL) <> (account_id IS NULL)", name="of_one_person"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )


def _create_people() -> None:
    op.create_table(
        "factor",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("administrator_id", _BIG_ID),
        sa.Column("account_id", _BIG_ID),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, server_default=""),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False, server_default=""),
        sa.Column("counter", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.UniqueConstraint("kind", "key", name="uq_factor_kind_key"),
        sa.CheckConstraint("kind IN ('totp', 'passkey', 'recovery')", name="kind"),
        *_of_one_person("factor"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("administrator_id", _BIG_ID),
        sa.Column("account_id", _BIG_ID),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("used_at", sa.BigInteger()),
        sa.UniqueConstraint("token_hash", name="uq_api_token_token_hash"),
        *_of_one_person("api_token"),
    )
    for table in ("factor", "api_token"):
        for column in ("administrator_id", "account_id"):
            op.create_index(f"ix_{table}_{column}", table, [column])


def _rebuild_indexes() -> None:
    is_open = sa.text("state IN ('waiting', 'held')")
    op.drop_index("ix_delivery_open", "delivery")
    op.create_index(
        "ix_delivery_open", "delivery", ["domain", "id", "state"], sqlite_where=is_open, postgresql_where=is_open
    )
    for table, column in (("message", "reverse_path"), ("event", "recipient")):
        op.drop_index(f"ix_{table}_{column}", table)
        op.create_index(f"ix_{table}_{column}", table, [sa.text(f"lower({column})")])
