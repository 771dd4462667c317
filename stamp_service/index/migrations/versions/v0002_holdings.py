"""How real an alert is, and how many alerts there are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a column, which a rebuild fills, and count what is there."""
    op.add_column("alerts", sa.Column("real_bogus", sa.Double))
    op.create_table(
        "holdings",
        sa.Column("survey", _TEXT, primary_key=True),
        sa.Column("alerts", sa.BigInteger, nullable=False),
        sa.Column("last_s", sa.Double, nullable=False),
    )
    # When the last one came was not noted; 0 says so.
    op.execute("INSERT INTO holdings SELECT survey, count(*), 0 FROM alerts GROUP BY survey")


def downgrade() -> None:
    """Drop both."""
    op.drop_table("holdings")
    op.drop_column("alerts", "real_bogus")
