"""Worked examples: projects with real data."""
