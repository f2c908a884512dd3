-- A restart of a service in all its running sessions, one after the other.
CREATE TABLE rolling_restarts (
    id           TEXT PRIMARY KEY,
    project_id   TEXT NOT NULL REFERENCES projects (id),
    service_id   TEXT NOT NULL,
    service_name TEXT NOT NULL,
    -- running, done or stopped
    state        TEXT NOT NULL,
    actor        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE UNIQUE INDEX rolling_restarts_one_runs ON rolling_restarts (service_id) WHERE state = 'running';
CREATE INDEX rolling_restarts_by_service ON rolling_restarts (project_id, service_id, created_at);

CREATE TABLE rolling_restart_steps (
    restart_id TEXT NOT NULL REFERENCES rolling_restarts (id) ON DELETE CASCADE,
    place      BIGINT NOT NULL,
    session_id TEXT NOT NULL,
    room_name  TEXT NOT NULL,
    -- pending, restarting, ready, failed or skipped
    outcome    TEXT NOT NULL,
    reason     TEXT,
    -- Which launch of the workload was there before, to know after a crash whether it was restarted.
    generation BIGINT,
    PRIMARY KEY (restart_id, place)
);
