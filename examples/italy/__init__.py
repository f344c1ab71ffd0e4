"""The demo: seven Italian publishers. See README.md for sources and licences."""
