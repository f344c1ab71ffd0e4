"""The `datong` command: every command is a client of the hub's API, over HTTP or in the same process."""
