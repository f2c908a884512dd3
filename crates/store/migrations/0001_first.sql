-- Times are milliseconds since the Unix epoch, ids hyphenated UUID text, sealed things BLOBs in meshkeep-seal's format.

CREATE TABLE server (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE projects (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    wrapped_key  BLOB NOT NULL,
    -- Over every secret and version of the project, keyed; a row that is removed or put back does not fit it.
    list_mac     BLOB NOT NULL,
    list_counter BIGINT NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    role        TEXT NOT NULL,
    bind        BOOLEAN NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  TEXT NOT NULL
);
CREATE INDEX api_keys_by_project ON api_keys (project_id);

CREATE TABLE secrets (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);
CREATE UNIQUE INDEX secrets_by_name ON secrets (project_id, name);

CREATE TABLE secret_versions (
    secret_id  TEXT NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL,
    entries    BLOB NOT NULL,
    summary    BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (secret_id, version)
);

CREATE TABLE rooms (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects (id),
    name        TEXT NOT NULL,
    metadata    TEXT NOT NULL,
    annotations TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX rooms_by_name ON rooms (project_id, name);

CREATE TABLE services (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    room_id    TEXT REFERENCES rooms (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    manifest   BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX services_by_name ON services (project_id, COALESCE(room_id, ''), name);

-- Which service names which secret. No foreign key to secrets: a forced delete leaves the name, and the next launch says so.
CREATE TABLE service_secrets (
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    secret_id  TEXT NOT NULL,
    PRIMARY KEY (service_id, secret_id)
);
CREATE INDEX service_secrets_by_secret ON service_secrets (secret_id);

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    room_id    TEXT REFERENCES rooms (id) ON DELETE SET NULL,
    room_name  TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE UNIQUE INDEX sessions_one_per_room ON sessions (room_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_project ON sessions (project_id, created_at);

CREATE TABLE workloads (
    id           TEXT PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    service_id   TEXT NOT NULL,
    service_name TEXT NOT NULL,
    place        BIGINT NOT NULL,
    manifest     BLOB NOT NULL,
    secrets      TEXT NOT NULL,
    pull_secret  TEXT,
    state        TEXT NOT NULL,
    image        TEXT,
    attempt      BIGINT NOT NULL,
    restarts     BIGINT NOT NULL,
    exit_code    BIGINT,
    started_at   BIGINT
);
CREATE UNIQUE INDEX workloads_by_session ON workloads (session_id, service_id);

CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    data       TEXT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE INDEX events_by_session ON events (session_id, seq);

CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    project_id TEXT,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    object     TEXT NOT NULL,
    origin     TEXT NOT NULL,
    at         BIGINT NOT NULL,
    -- Over all of the row and the row before it, keyed.
    mac        BLOB NOT NULL
);
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
