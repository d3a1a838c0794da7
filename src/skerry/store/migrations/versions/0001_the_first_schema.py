"""The first schema."""

import sqlalchemy as sa
from alembic import op

from skerry.store.tables import String

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply this revision."""
    _create_hosts()
    _create_operations()
    _create_resources()


def _create_hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("id", String, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.LargeBinary(), nullable=True),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "host_observed",
        sa.Column("host", String, nullable=False),
        sa.Column("kind", String, nullable=False),
        sa.Column("id", String, nullable=False),
        sa.Column("observed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host"],
            ["hosts.id"],
        ),
        sa.PrimaryKeyConstraint("host", "kind", "id"),
    )
    op.create_table(
        "host_specs",
        sa.Column("host", String, nullable=False),
        sa.Column("kind", String, nullable=False),
        sa.Column("id", String, nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host"],
            ["hosts.id"],
        ),
        sa.PrimaryKeyConstraint("host", "kind", "id"),
    )


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", String, nullable=False),
        sa.Column("kind", String, nullable=False),
        sa.Column("target", String, nullable=False),
        sa.Column("target_id", String, nullable=False),
        sa.Column("step", String, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("status", String, nullable=False),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("resume_at", sa.Float(), nullable=False),
        sa.Column("on_report", sa.Boolean(), nullable=False),
        sa.Column("deadline", sa.Float(), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("operations_by_target", "operations", ["target"], unique=False)
    op.create_index("operations_due", "operations", ["status", "resume_at"], unique=False)
    op.create_index("operations_ended", "operations", ["ended"], unique=False)


def _create_resources() -> None:
    op.create_table(
        "resources",
        sa.Column("key", String, nullable=False),
        sa.Column("id", String, nullable=False),
        sa.Column("type", String, nullable=False),
        sa.Column("group_key", String, nullable=False),
        sa.Column("parent", String, nullable=False),
        sa.Column("name", String, nullable=False),
        sa.Column("location", String, nullable=False),
        sa.Column("etag", String, nullable=False),
        sa.Column("state", String, nullable=False),
        sa.Column("operation", String, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("resources_by_group", "resources", ["group_key", "type", "key"], unique=False)
    op.create_index("resources_by_parent", "resources", ["parent", "type"], unique=False)
    op.create_index("resources_by_type", "resources", ["type", "key"], unique=False)
    op.create_table(
        "links",
        sa.Column("source", String, nullable=False),
        sa.Column("target", String, nullable=False),
        sa.Column("kind", String, nullable=False),
        sa.Column("place", String, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["resources.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source", "target", "kind", "place"),
    )
    op.create_index("links_by_target", "links", ["target", "kind"], unique=False)
