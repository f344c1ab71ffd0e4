"""The console in a browser. A package, so that what is open for its tests is closed before the others begin."""
