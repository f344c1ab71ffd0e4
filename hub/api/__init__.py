"""The HTTP edge: thin handlers over the hub's services. Async exists only here."""
