"""What is declared: agencies, connectors, topics, grants, schemas and code lists, read from a project's files."""
