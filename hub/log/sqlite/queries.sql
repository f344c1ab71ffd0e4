-- name: topic_put
-- Create a topic or change its retention; its partitions are fixed (R9).
INSERT INTO topic (name, partitions, compacted, retention_ms, retention_bytes)
VALUES (:name, :partitions, :compacted, :retention_ms, :retention_bytes)
ON CONFLICT (name) DO UPDATE SET
    compacted = excluded.compacted,
    retention_ms = excluded.retention_ms,
    retention_bytes = excluded.retention_bytes;

-- name: topics
-- Every topic.
SELECT name, partitions, compacted, retention_ms, retention_bytes FROM topic ORDER BY name;

-- name: partition_put
-- A partition starts at offset 0.
INSERT INTO partition (topic, partition) VALUES (:topic, :partition) ON CONFLICT DO NOTHING;

-- name: ends
-- Next offset and first offset that can be read, of each partition of a topic. Compaction leaves no gap to report.
SELECT p.partition, p.next_offset,
    CASE WHEN t.compacted THEN 0 ELSE COALESCE(
        (SELECT b.base_offset FROM block b WHERE b.topic = p.topic AND b.partition = p.partition
         ORDER BY b.last_offset LIMIT 1), p.next_offset) END
FROM partition p JOIN topic t ON t.name = p.topic WHERE p.topic = :topic ORDER BY p.partition;

-- name: ends_of
-- The same of many topics, named by a JSON array.
SELECT p.topic, p.partition, p.next_offset,
    CASE WHEN t.compacted THEN 0 ELSE COALESCE(
        (SELECT b.base_offset FROM block b WHERE b.topic = p.topic AND b.partition = p.partition
         ORDER BY b.last_offset LIMIT 1), p.next_offset) END
FROM json_each(:topics) wanted JOIN topic t ON t.name = wanted.value JOIN partition p ON p.topic = t.name
ORDER BY p.topic, p.partition;

-- name: next_offset
-- Where the next record of a partition goes.
SELECT next_offset FROM partition WHERE topic = :topic AND partition = :partition;

-- name: next_offset_put
-- Move it after an append.
UPDATE partition SET next_offset = :next_offset WHERE topic = :topic AND partition = :partition;

-- name: block_put
-- Append one block.
INSERT INTO block (topic, partition, base_offset, last_offset, count, timestamp_ms, crc, data)
VALUES (:topic, :partition, :base_offset, :last_offset, :count, :timestamp_ms, :crc, :data);

-- name: blocks_from
-- Blocks from the one that holds an offset on, in order.
SELECT id, base_offset, last_offset, count, timestamp_ms, crc, data FROM block
WHERE topic = :topic AND partition = :partition AND last_offset >= :offset ORDER BY last_offset;

-- name: task_epoch
-- The newest epoch that opened a task, and its checkpoint.
SELECT epoch, checkpoint FROM task WHERE name = :task;

-- name: task_open
-- Take a task over; an older epoch changes nothing (R4).
INSERT INTO task (name, epoch) VALUES (:task, :epoch)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch >= task.epoch;

-- name: checkpoint_put
-- The checkpoint moves with the data, and only under the epoch that holds the task (G6, G7).
UPDATE task SET checkpoint = :checkpoint WHERE name = :task AND epoch = :epoch;

-- name: topic_size
-- Bytes of a topic's blocks; their lengths stand in the rows' heads, so that no data is read.
SELECT COALESCE(SUM(LENGTH(data)), 0) FROM block WHERE topic = :topic;

-- name: block_sizes
-- Blocks of a partition, newest first, for retention.
SELECT id, last_offset, timestamp_ms, LENGTH(data) FROM block
WHERE topic = :topic AND partition = :partition ORDER BY last_offset DESC;

-- name: block_delete
-- Give a block's space back.
DELETE FROM block WHERE id = :id;

-- name: block_replace
-- The same block with fewer records; it keeps its place (R8).
UPDATE block SET count = :count, crc = :crc, data = :data WHERE id = :id;

-- name: every_block
-- All blocks, for a check of their checksums.
SELECT id, topic, partition, base_offset, last_offset, count, crc, data FROM block
ORDER BY topic, partition, last_offset;
