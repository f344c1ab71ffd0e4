"""Datong: an integration hub through which public agencies share data."""
