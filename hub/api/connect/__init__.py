"""Kafka Connect's REST API over the hub's connectors: `/connect` of the hub's port, and the root of `connect.port`."""

PREFIX = "/connect"
