"""Runs the migrations on the connection, and in the transaction, that the caller opened."""

from alembic import context

from signoff.adapters.ledger_sql.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
