-- Who is signed in to Studio. Tokens are 256 random bits, kept as their SHA-256.
CREATE TABLE studio_sessions (
    token_hash BLOB PRIMARY KEY,
    -- Signed in with this key; null is the operator. A key that is deleted ends them.
    api_key_id TEXT REFERENCES api_keys (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);

-- Links that sign the operator in, once.
CREATE TABLE studio_links (
    token_hash BLOB PRIMARY KEY,
    created_at BIGINT NOT NULL
);
