"""Alembic's entry: runs the revisions on the connection that `app.migrate` holds the lock with, or prints their SQL."""

from alembic import context

connection = context.config.attributes.get("connection")
context.configure(
    connection=connection, dialect_name=None if connection else "postgresql", transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
