-- Authenticated over the row itself: a row that was changed behind the seal does not fit its own digest.
ALTER TABLE secrets ADD COLUMN mac BLOB;
ALTER TABLE services ADD COLUMN mac BLOB;
ALTER TABLE api_keys ADD COLUMN mac BLOB;
-- SHA-256 of what is sealed in the row; the secret's digest goes over these.
ALTER TABLE secret_versions ADD COLUMN digest BLOB;

-- The sum of these digests and the counter, sealed: a row that is removed or put back does not fit it. What is 32 bytes long
-- is a digest over all secrets, of before this schema.
ALTER TABLE projects RENAME COLUMN list_mac TO list;

-- Deleted, and kept for a while.
ALTER TABLE secrets ADD COLUMN deleted_at BIGINT;
ALTER TABLE secrets ADD COLUMN deleted_by TEXT;
DROP INDEX secrets_by_name;
CREATE UNIQUE INDEX secrets_by_name ON secrets (project_id, name) WHERE deleted_at IS NULL;
