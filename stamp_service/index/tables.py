"""The tables of the index; `migrations` brings a database to them."""

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, SmallInteger, Table, Text

metadata = MetaData()

# Compared byte by byte, as SQLite does: the order of pages must not depend on the server's language.
_Text = Text().with_variant(Text(collation="C"), "postgresql")

alerts = Table(
    "alerts",
    metadata,
    Column("survey", _Text, primary_key=True),
    Column("alert_id", _Text, primary_key=True),
    Column("object_id", _Text),
    # -infinity where the packet does not say, so that all alerts have their place in the order of time.
    Column("time_mjd", Double, nullable=False),
    Column("ra_deg", Double),
    Column("dec_deg", Double),
    Column("cell", BigInteger),  # nested HEALPix, depth 29; see `cells`
    Column("band", _Text),
    Column("magnitude", Double),
    Column("flux_njy", Double),
    Column("kinds", SmallInteger, nullable=False),  # bits; see `entries`
    Column("place", _Text, nullable=False),
    Column("real_bogus", Double),
    Index("alerts_object", "survey", "object_id", "time_mjd", "alert_id"),
    Index("alerts_time", "survey", "time_mjd", "alert_id"),
    Index("alerts_cell", "survey", "cell"),
)

# One row per survey: how many alerts there are, and when the last new one came. Counting would take seconds.
holdings = Table(
    "holdings",
    metadata,
    Column("survey", _Text, primary_key=True),
    Column("alerts", BigInteger, nullable=False),
    Column("last_s", Double, nullable=False),  # since the epoch
)
