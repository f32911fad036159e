-- Secrets in the inventory, and rotations among the tasks.

-- What a secret hands out, by a name that is no secret (`access-key/AKIA…`, `login/app@db:5432`).
CREATE TABLE secret_holds (
    holds    TEXT NOT NULL,
    identity INTEGER NOT NULL REFERENCES identities (number) ON DELETE CASCADE,
    PRIMARY KEY (holds, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_holds_identity ON secret_holds (identity);

-- Secrets are gone through in the order of their ARNs.
CREATE INDEX identities_arn ON identities (kind, arn);

-- What a compromise or a contract's end has rotated is an exposure until the old credential is dead.
DROP INDEX tasks_exposed;
CREATE INDEX tasks_exposed
    ON tasks (zone, cause, kind, state, noticed_at, counts, enforced, desired, finished)
    WHERE counts = 1 AND enforced = 1 AND finished = 0
        AND (desired = 'revoked' OR (desired = 'rotated' AND cause <> 'rotation'));
