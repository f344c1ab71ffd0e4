"""How fast the hub is, and against what: `python3 dev.py bench pipeline`, docs/benchmarks.md."""
