"""The demo: six Italian publishers. See README.md for sources and licences."""
