"""Shared Avro schemas and code lists: data only."""
