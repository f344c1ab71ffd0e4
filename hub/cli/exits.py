"""Exit codes of the command line itself; the others are the errors' own."""

USAGE, INTERRUPTED = 2, 130
