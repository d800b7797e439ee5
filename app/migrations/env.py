"""Alembic's entry: runs the revisions on the connection that `app.migrate` holds the lock with, or prints their SQL."""

from alembic import context

given = context.config.attributes
connection = given.get("connection")
context.configure(
    connection=connection,
    dialect_name=None if connection else "postgresql",
    transaction_per_migration=given.get("transaction_per_migration", True),
    on_version_apply=given.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()
