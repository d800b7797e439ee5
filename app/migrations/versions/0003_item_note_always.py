"""Every item has a note: what 1.4 wrote without one is backfilled (`app.backfill`), and 1.4 can write no more."""

from alembic import op

revision = "0003"
down_revision = "0002"
phase = "contract"
unused_since = "0002"


def upgrade() -> None:
    # Reads the whole table while it holds it: a table too large for that first gets a CHECK, NOT VALID, then validated.
    op.alter_column("items", "note", nullable=False)


def downgrade() -> None:
    op.alter_column("items", "note", nullable=True)
