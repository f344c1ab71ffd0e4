"""The demo: four Italian publishers. See README.md for sources and licences."""
