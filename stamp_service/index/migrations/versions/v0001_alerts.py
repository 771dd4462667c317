"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alerts",
        sa.Column("survey", _TEXT, primary_key=True),
        sa.Column("alert_id", _TEXT, primary_key=True),
        sa.Column("object_id", _TEXT),
        sa.Column("time_mjd", sa.Double, nullable=False),
        sa.Column("ra_deg", sa.Double),
        sa.Column("dec_deg", sa.Double),
        sa.Column("cell", sa.BigInteger),
        sa.Column("band", _TEXT),
        sa.Column("magnitude", sa.Double),
        sa.Column("flux_njy", sa.Double),
        sa.Column("kinds", sa.SmallInteger, nullable=False),
        sa.Column("place", _TEXT, nullable=False),
    )
    op.create_index("alerts_object", "alerts", ["survey", "object_id", "time_mjd", "alert_id"])
    op.create_index("alerts_time", "alerts", ["survey", "time_mjd", "alert_id"])
    op.create_index("alerts_cell", "alerts", ["survey", "cell"])


def downgrade() -> None:
    """Drop the tables; a rebuild brings the rows back."""
    op.drop_table("alerts")
