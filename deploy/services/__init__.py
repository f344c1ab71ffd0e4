"""Real Kafka and PostgreSQL on loopback, started without containers: `python3 dev.py services kafka start`."""
