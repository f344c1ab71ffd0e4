"""What runs beside the hub: real services for tests and people, container files, alert rules."""
