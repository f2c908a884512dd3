-- Launched by somebody who asked for it: it stays until it is terminated. Others end when the last participant has left.
ALTER TABLE sessions ADD COLUMN explicit BOOLEAN NOT NULL DEFAULT TRUE;

-- Which participant asked for it while the session ran (JSON); null for what the session runs by itself.
ALTER TABLE workloads ADD COLUMN asked TEXT;

-- Made for a service's own use; nobody's session is kept by its holder.
ALTER TABLE api_keys ADD COLUMN service_id TEXT;

-- Secrets of a participant within a room, and those that it left to another one.
CREATE TABLE room_secrets (
    room_id      TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    identity     TEXT NOT NULL,
    id           TEXT NOT NULL,
    -- Empty: for nobody else.
    delegated_to TEXT NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    sealed       BLOB NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (room_id, identity, id, delegated_to)
);
