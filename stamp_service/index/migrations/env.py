"""What Alembic runs: the migrations, on the connection that `migrating` hands over."""

from alembic import context

from stamp_service.index.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
