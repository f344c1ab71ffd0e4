"""Real Kafka and PostgreSQL on loopback, started without containers: `python3 dev.py services kafka start`."""


class ServiceMissing(Exception):
    """A program that a service needs is not installed; says how to get it."""
