"""Kafka Connect's REST API over the hub's connectors: `/connect` of the hub's port, and the root of `connect.port`."""

from hub.api.connect.app import PREFIX as PREFIX
from hub.api.connect.app import create_app as create_app
