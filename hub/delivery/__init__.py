"""Life of a delivery: blocks are read once for all, decoded by columns, filtered, and leave as the grant says."""
