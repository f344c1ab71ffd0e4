"""Datong: an integration hub through which public agencies share data."""

__version__ = "0.1.0"
