-- What came of it: `done`, or `refused: ` and the refusal's code.
ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT 'done';
CREATE INDEX audit_by_project ON audit (project_id, seq);
