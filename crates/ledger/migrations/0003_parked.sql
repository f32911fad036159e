-- What waits for its case to be planned or released, so that it is let go in portions: a case may be large.
CREATE INDEX tasks_parked ON tasks (case_id)
    WHERE parked = 1 AND finished = 0 AND kind <> 'unresolved';
