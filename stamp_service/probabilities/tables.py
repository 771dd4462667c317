"""The tables `step`, `object` and `probability`, as ALeRCE's database has them.

Names, types and keys are those of its package db-plugins (`db_plugins/db/sql/models.py`), so that its database is
used as it is. Columns of `object` that later steps of ALeRCE fill in are left null here.
"""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

metadata = MetaData()

steps = Table(
    "step",
    metadata,
    Column("step_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("comments", String, nullable=False),
    Column("date", DateTime, nullable=False),
)

objects = Table(
    "object",
    metadata,
    Column("oid", String, primary_key=True),
    Column("ndethist", Integer, nullable=False),
    Column("ncovhist", Integer, nullable=False),
    Column("mjdstarthist", Double),
    Column("mjdendhist", Double),
    Column("corrected", Boolean, nullable=False),
    Column("stellar", Boolean, nullable=False),
    Column("ndet", Integer, nullable=False),
    Column("g_r_max", Double),
    Column("g_r_max_corr", Double),
    Column("g_r_mean", Double),
    Column("g_r_mean_corr", Double),
    Column("meanra", Double, nullable=False),
    Column("meandec", Double, nullable=False),
    Column("sigmara", Double),
    Column("sigmadec", Double),
    Column("deltajd", Double, nullable=False),
    Column("firstmjd", Double, nullable=False),
    Column("lastmjd", Double, nullable=False),
    Column("step_id_corr", String, nullable=False),
    Column("diffpos", Boolean),
    Column("reference_change", Boolean),
    Index("ix_object_ndet", "ndet"),
    Index("ix_object_firstmjd", "firstmjd"),
    Index("ix_object_g_r_max", "g_r_max"),
    Index("ix_object_g_r_mean_corr", "g_r_mean_corr"),
    Index("ix_object_meanra", "meanra"),
    Index("ix_object_meandec", "meandec"),
)

probabilities = Table(
    "probability",
    metadata,
    Column("oid", String, ForeignKey("object.oid"), primary_key=True),
    Column("class_name", String, primary_key=True),
    Column("classifier_name", String, primary_key=True),
    Column("classifier_version", String, primary_key=True),
    Column("probability", Double, nullable=False),
    Column("ranking", Integer, nullable=False),
    Index("ix_probabilities_oid", "oid", postgresql_using="hash"),
    Index("ix_probabilities_probability", "probability"),
    Index("ix_probabilities_ranking", "ranking"),
)
# Most questions of ALeRCE's portal are about the most probable class.
Index(
    "ix_classification_rank1",
    probabilities.c.ranking,
    postgresql_where=probabilities.c.ranking == 1,
    sqlite_where=probabilities.c.ranking == 1,
)
