"""Worked kinds of source, for docs/how-to/write-a-source.md."""
