"""The schema registry over the store: subjects, versions, ids, compatibility."""

from hub.registry.model import Level, Reference, Registered, SchemaVersion, StoredSchema
from hub.registry.registry import Registry
from hub.registry.schemas import Schemas

__all__ = ["Level", "Reference", "Registered", "Registry", "SchemaVersion", "Schemas", "StoredSchema"]
