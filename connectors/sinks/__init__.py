"""A subscriber's own systems: where pushed records go. One module a kind; specs.py has the settings of all."""
