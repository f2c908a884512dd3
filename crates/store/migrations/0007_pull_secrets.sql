-- A service may name several; an image is fetched with the one that fits best.
ALTER TABLE workloads RENAME COLUMN pull_secret TO pull_secrets;
UPDATE workloads SET pull_secrets = CASE WHEN pull_secrets IS NULL THEN '[]' ELSE '[' || pull_secrets || ']' END;
