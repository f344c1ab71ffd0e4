"""The life of a record: pull, map, check, encode, append (architecture, section 2)."""
