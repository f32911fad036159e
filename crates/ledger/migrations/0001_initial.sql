-- The ledger on SQLite.
--
-- Times are microseconds since 1970 (UTC). A thing's whole content is JSON in `body`; beside it stand
-- only the columns that claims, timers, queries and filters need. The timers are the columns
-- `cases.due_at` and `tasks.next_at`: what is due is found by them and by nothing else.

-- What arrived and was accepted, as it came and as it was read.
CREATE TABLE inbox (
    number       INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    digest       TEXT NOT NULL,
    case_id      TEXT NOT NULL,
    topic        TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    log_offset   INTEGER NOT NULL,
    record_time  INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    event        TEXT NOT NULL,
    record_key     BLOB,
    record_headers BLOB NOT NULL,
    record_value   BLOB,
    UNIQUE (source, event_id)
) STRICT;

-- Known source and id, other content: kept for a person to compare.
CREATE TABLE conflicts (
    number       INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    digest       TEXT NOT NULL,
    case_id      TEXT NOT NULL,
    topic        TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    log_offset   INTEGER NOT NULL,
    record_time  INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    event        TEXT NOT NULL,
    record_key     BLOB,
    record_headers BLOB NOT NULL,
    record_value   BLOB,
    UNIQUE (source, event_id, digest)
) STRICT;

-- Which records were dead-lettered. The record's time is part of the key, so that a topic that was made
-- anew, and counts its offsets from nought again, does not swallow its first dead letters.
CREATE TABLE dead_letters (
    topic        TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    log_offset   INTEGER NOT NULL,
    record_time  INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (topic, partition, log_offset, record_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE cases (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    event_id     TEXT NOT NULL,
    lane         INTEGER NOT NULL,
    state        TEXT NOT NULL,
    how          TEXT,
    zone         TEXT,
    contract     TEXT,
    revision     INTEGER,
    change       TEXT,
    due_at       INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,
    lease_token  INTEGER,
    lease_from   INTEGER,
    lease_until  INTEGER,
    n_open       INTEGER NOT NULL DEFAULT 0,
    n_blocked    INTEGER NOT NULL DEFAULT 0,
    n_done       INTEGER NOT NULL DEFAULT 0,
    n_observed   INTEGER NOT NULL DEFAULT 0,
    n_superseded INTEGER NOT NULL DEFAULT 0,
    body         TEXT NOT NULL
) STRICT;
CREATE INDEX cases_due ON cases (lane, due_at) WHERE due_at IS NOT NULL AND lease_until IS NULL;
CREATE INDEX cases_leased ON cases (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX cases_contract ON cases (zone, contract) WHERE contract IS NOT NULL;
CREATE INDEX cases_event ON cases (event_id);
CREATE INDEX cases_state ON cases (state) WHERE state <> 'closed';

-- The highest revision of each contract.
CREATE TABLE contracts (
    zone     TEXT NOT NULL,
    contract TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (zone, contract)
) STRICT, WITHOUT ROWID;

-- `parked`: of a case that is held (or not planned), or looked up by planning: never claimed.
-- `ready`: was seen to be due, is neither leased nor parked, and queues by lane, first blow, deadline.
-- `lease_from`: the lease's first end. A holder whose own `until` is earlier holds an older lease.
CREATE TABLE tasks (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    case_id     TEXT NOT NULL REFERENCES cases (id),
    target_key  TEXT NOT NULL,
    lock        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    desired     TEXT NOT NULL,
    zone        TEXT NOT NULL,
    cause       TEXT NOT NULL,
    enforced    INTEGER NOT NULL,
    undoes      TEXT,
    lane        INTEGER NOT NULL,
    struck      INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    noticed_at  INTEGER NOT NULL,
    counts      INTEGER NOT NULL,
    state       TEXT NOT NULL,
    finished    INTEGER NOT NULL,
    next_at     INTEGER,
    parked      INTEGER NOT NULL DEFAULT 0,
    ready       INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    lease_token INTEGER,
    lease_from  INTEGER,
    lease_until INTEGER,
    last_reason TEXT,
    body        TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_ready ON tasks (lane, struck, deadline) WHERE ready = 1;
CREATE INDEX tasks_waiting ON tasks (lane, struck, next_at)
    WHERE ready = 0 AND parked = 0 AND lease_until IS NULL AND next_at IS NOT NULL;
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE lease_until IS NOT NULL;
-- One identity, one task at a time: held by the store itself.
CREATE UNIQUE INDEX tasks_lock_leased ON tasks (lock) WHERE lease_until IS NOT NULL;
CREATE INDEX tasks_lock ON tasks (lock, desired);
CREATE INDEX tasks_case ON tasks (case_id, zone);
CREATE INDEX tasks_zone ON tasks (zone, finished, deadline);
CREATE INDEX tasks_listed ON tasks (finished, deadline);
CREATE INDEX tasks_blocked ON tasks (case_id) WHERE state = 'blocked';
-- All columns of the question are in it, so that counting exposures reads no task.
CREATE INDEX tasks_exposed
    ON tasks (zone, cause, kind, state, noticed_at, counts, enforced, desired, finished)
    WHERE counts = 1 AND enforced = 1 AND desired = 'revoked' AND finished = 0;

CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    case_id  TEXT NOT NULL,
    task_id  TEXT,
    what     TEXT NOT NULL
) STRICT;
CREATE INDEX journal_case ON journal (case_id, sequence);

CREATE TABLE findings (
    number  INTEGER PRIMARY KEY,
    case_id TEXT NOT NULL,
    at      INTEGER NOT NULL,
    finding TEXT NOT NULL,
    UNIQUE (case_id, finding)
) STRICT;

-- `next_at` is 0 until publishing failed.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    priority INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    next_at  INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    error    TEXT,
    size     INTEGER NOT NULL,
    key      BLOB,
    headers  BLOB NOT NULL,
    value    BLOB
) STRICT;
CREATE INDEX outbox_fresh ON outbox (priority, id) WHERE next_at = 0;
CREATE INDEX outbox_deferred ON outbox (priority, next_at, id) WHERE next_at > 0;

-- Messages too large for the broker, under the id that their announcement has in the outbox.
CREATE TABLE spilled (
    id      INTEGER PRIMARY KEY,
    topic   TEXT NOT NULL,
    key     BLOB,
    headers BLOB NOT NULL,
    value   BLOB
) STRICT;

CREATE TABLE identities (
    number     INTEGER PRIMARY KEY,
    arn        TEXT NOT NULL UNIQUE,
    account    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX identities_name ON identities (kind, name);
CREATE INDEX identities_generation ON identities (account, generation);

CREATE TABLE identity_keys (
    key_id   TEXT NOT NULL,
    identity INTEGER NOT NULL REFERENCES identities (number) ON DELETE CASCADE,
    PRIMARY KEY (key_id, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_keys_identity ON identity_keys (identity);

-- Tag keys in lower case (IAM compares them without case). `whole` is the value as it is; the other
-- rows are the names in it, of which a flattened boundary has two.
CREATE TABLE identity_tags (
    tag      TEXT NOT NULL,
    value    TEXT NOT NULL,
    whole    INTEGER NOT NULL,
    identity INTEGER NOT NULL REFERENCES identities (number) ON DELETE CASCADE,
    PRIMARY KEY (tag, value, whole, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_tags_identity ON identity_tags (identity);

CREATE TABLE role_principals (
    principal TEXT NOT NULL,
    identity  INTEGER NOT NULL REFERENCES identities (number) ON DELETE CASCADE,
    PRIMARY KEY (principal, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX role_principals_identity ON role_principals (identity);

CREATE TABLE inventories (
    account     TEXT PRIMARY KEY,
    generation  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters, so that nothing is ever counted by reading everything.
CREATE TABLE totals (
    name TEXT PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals (name, n) VALUES
    ('accepted', 0), ('duplicates', 0), ('conflicts', 0), ('dead-lettered', 0),
    ('case-accepted', 0), ('case-held', 0), ('case-open', 0), ('case-closed', 0),
    ('task-open', 0), ('task-blocked', 0), ('task-done', 0), ('task-observed', 0),
    ('task-superseded', 0);

-- Tallies are kept by triggers, so that no statement can change a state and forget to count it.
CREATE TRIGGER case_added AFTER INSERT ON cases BEGIN
    UPDATE totals SET n = n + 1 WHERE name = 'case-' || NEW.state;
END;
CREATE TRIGGER case_moved AFTER UPDATE OF state ON cases WHEN NEW.state <> OLD.state BEGIN
    UPDATE totals SET n = n - 1 WHERE name = 'case-' || OLD.state;
    UPDATE totals SET n = n + 1 WHERE name = 'case-' || NEW.state;
END;
CREATE TRIGGER task_added AFTER INSERT ON tasks WHEN NEW.counts = 1 BEGIN
    UPDATE totals SET n = n + 1 WHERE name = 'task-' || NEW.state;
    UPDATE cases SET
        n_open = n_open + (NEW.state = 'open'),
        n_blocked = n_blocked + (NEW.state = 'blocked'),
        n_done = n_done + (NEW.state = 'done'),
        n_observed = n_observed + (NEW.state = 'observed'),
        n_superseded = n_superseded + (NEW.state = 'superseded')
    WHERE id = NEW.case_id;
END;
CREATE TRIGGER task_moved AFTER UPDATE OF state ON tasks
    WHEN NEW.state <> OLD.state AND NEW.counts = 1 BEGIN
    UPDATE totals SET n = n - 1 WHERE name = 'task-' || OLD.state;
    UPDATE totals SET n = n + 1 WHERE name = 'task-' || NEW.state;
    UPDATE cases SET
        n_open = n_open + (NEW.state = 'open') - (OLD.state = 'open'),
        n_blocked = n_blocked + (NEW.state = 'blocked') - (OLD.state = 'blocked'),
        n_done = n_done + (NEW.state = 'done') - (OLD.state = 'done'),
        n_observed = n_observed + (NEW.state = 'observed') - (OLD.state = 'observed'),
        n_superseded = n_superseded + (NEW.state = 'superseded') - (OLD.state = 'superseded')
    WHERE id = NEW.case_id;
END;
CREATE TRIGGER task_removed AFTER DELETE ON tasks WHEN OLD.counts = 1 BEGIN
    UPDATE totals SET n = n - 1 WHERE name = 'task-' || OLD.state;
    UPDATE cases SET
        n_open = n_open - (OLD.state = 'open'),
        n_blocked = n_blocked - (OLD.state = 'blocked'),
        n_done = n_done - (OLD.state = 'done'),
        n_observed = n_observed - (OLD.state = 'observed'),
        n_superseded = n_superseded - (OLD.state = 'superseded')
    WHERE id = OLD.case_id;
END;
