"""The tables of an annotation project, for SQLite and PostgreSQL; it imports SQLAlchemy."""

import sqlalchemy as sa

_JSON = sa.JSON(none_as_null=True)
METADATA = sa.MetaData()

settings = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", _JSON, nullable=False),
)
documents = sa.Table(
    "documents",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # also its position in the pool
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.String, nullable=False, index=True),
)
sentences = sa.Table(
    "sentences",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # also its position in the pool
    sa.Column("document", sa.ForeignKey(documents.c.id), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),  # in the document, from 0
    sa.Column("n_tokens", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False, index=True),
    sa.Column("content", _JSON, nullable=False),  # see `project_documents`
)
models = sa.Table(
    "models",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),  # all times are seconds since 1970 (UTC)
    sa.Column("scores", _JSON, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
)
annotations = sa.Table(
    "annotations",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False, unique=True),  # chosen by the writer, so that it can repeat
    sa.Column("sentence", sa.ForeignKey(sentences.c.id), nullable=False, index=True),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("kind", sa.String, sa.CheckConstraint("kind IN ('accepted', 'skipped', 'undone')")),
    sa.Column("tags", _JSON),
    sa.Column("proposed", _JSON),  # the model's tags
    sa.Column("scores", _JSON),  # their probabilities
    sa.Column("model_version", sa.Integer),  # of the model that proposed the tags
    sa.Column("arm", sa.String),
    sa.Column("strategy", sa.String),
    sa.Column("restores", sa.ForeignKey("annotations.id")),  # by undoing the annotation that superseded it
    sa.Column(
        "superseded_by",
        sa.ForeignKey("annotations.key", deferrable=True, initially="DEFERRED"),
        index=True,
    ),
    sqlite_autoincrement=True,  # ids never repeat, so that they order the annotations in time
)
# A sentence has at most one annotation that is not superseded.
sa.Index(
    "annotations_current",
    annotations.c.sentence,
    unique=True,
    sqlite_where=annotations.c.superseded_by.is_(None),
    postgresql_where=annotations.c.superseded_by.is_(None),
)
queue = sa.Table(
    "queue",
    METADATA,
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sentence", sa.ForeignKey(sentences.c.id), nullable=False, unique=True),
    sa.Column("arm", sa.String, nullable=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("model_version", sa.Integer),
)
leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("sentence", sa.ForeignKey(sentences.c.id), primary_key=True, autoincrement=False),
    sa.Column("key", sa.String, nullable=False, unique=True),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("arm", sa.String),
    sa.Column("strategy", sa.String),
)

current = annotations.alias("current")
effective = annotations.alias("effective")
EFFECTIVE = current.join(effective, effective.c.id == sa.func.coalesce(current.c.restores, current.c.id))
"""Each sentence's annotation that is not superseded, with the one in effect: what it restores, or itself."""

IS_ANNOTATED = sa.and_(
    current.c.superseded_by.is_(None), sa.or_(current.c.kind != "undone", current.c.restores.is_not(None))
)
"""Condition on ``current``: somebody accepted or skipped the sentence, and it was not undone."""
