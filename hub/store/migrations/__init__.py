"""The history of the tables: Alembic revisions, applied when a store is opened. No alembic.ini is needed."""
