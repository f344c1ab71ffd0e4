"""The registry over HTTP, as every Avro client knows it (registry-api). Needs no Arrow."""

from hub.api.registry.app import create_desk_app, create_registry_app

__all__ = ["create_desk_app", "create_registry_app"]
