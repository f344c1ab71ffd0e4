"""How fast, measured through the public command line; never part of the tests."""
