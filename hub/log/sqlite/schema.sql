-- name: topics
-- What the log knows of each topic.
CREATE TABLE topic (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    retention_ms INTEGER,
    retention_bytes INTEGER
) WITHOUT ROWID;

-- name: partitions
-- The next offset of each partition; it only grows, so no offset is ever given twice (R8).
CREATE TABLE partition (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

-- name: blocks
-- One row a block; `data` is the lz4-compressed record section, `crc` the CRC32C over place and data (guarantees, fact 5).
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    base_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    count INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL
);

-- name: block_place
-- Blocks of a partition in order, found by the last offset they hold.
CREATE UNIQUE INDEX block_place ON block (topic, partition, last_offset);

-- name: tasks
-- The newest epoch of each task and its checkpoint (R4, G6, G7).
CREATE TABLE task (
    name TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    checkpoint TEXT
) WITHOUT ROWID;
