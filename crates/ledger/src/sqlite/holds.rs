//! Who else wants a target revoked, and who holds an identity that more urgent work waits for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use severance_lifecycle::action::Change;
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::ids::{CaseId, TaskId};
use severance_lifecycle::policy::{Desired, Holds};
use severance_lifecycle::task::Task;
use sqlx::SqliteConnection;

use crate::codec::{from_json, micros};
use crate::fault::Fault;

/// Other cases' revocations of the same target or of one that covers it or that it covers (a user
/// and its keys): not superseded, and not being put back themselves. Of zones in `observe` only
/// compromises are heard: they change nothing, but nothing that a compromise names is switched on.
/// An earlier revision of the same contract holds nothing against its reinstatement (`?3`: what is
/// undone). Of rotations those hold that a compromise asked for: what they replaced
/// must not work again.
///
/// Of the user whose key a secret holds (`?6`) every case's revocation is heard, its own too (a plan may have
/// found the user later than the secret), but only one that is enforced: what a zone in `observe` leaves
/// alive must still be rotated.
///
/// Nothing gives way to what has not begun and does not go on by itself (`idle`: of a case that is held, or refused
/// before anything was done), nor does a rotation (`?7`: anything else) to what is only observed; but what they
/// name is not switched on again either.
pub(super) const HOLDS: &str = "
    SELECT COALESCE(MAX(case_id <> ?2), 0),
        COALESCE(MAX(case_id <> ?2 AND target_key = ?4 AND desired = 'revoked'
            AND (?7 OR (enforced = 1 AND idle = 0))), 0),
        COALESCE(MAX(case_id <> ?2 AND target_key = ?4 AND desired = 'revoked'
            AND enforced = 1 AND state = 'done'), 0),
        COALESCE(MAX(target_key = ?6 AND desired = 'revoked' AND enforced = 1 AND idle = 0), 0),
        COALESCE(MAX(case_id <> ?2 AND cause = 'compromise-notice'), 0)
    FROM (SELECT t.case_id, t.target_key, t.desired, t.enforced, t.state, t.cause,
            t.changed = 0 AND (
                (t.state = 'blocked' AND json_extract(t.body, '$.state.reason.block')
                    IN ('protected', 'flattened-boundary', 'user-of-another-zone'))
                OR (t.parked = 1 AND EXISTS (SELECT 1 FROM cases AS c
                    WHERE c.id = t.case_id AND c.state = 'held'))) AS idle
        FROM tasks AS t INDEXED BY tasks_lock
        WHERE t.lock = ?1 AND t.desired IN ('revoked', 'rotated')
            AND (t.desired = 'revoked' OR t.cause = 'compromise-notice')
            AND (t.case_id <> ?2 OR t.target_key = ?6) AND (?3 IS NULL OR t.case_id <> ?3)
            AND t.state <> 'superseded'
            AND (t.enforced = 1 OR t.cause = 'compromise-notice')
            AND (t.target_key = ?4 OR t.kind <> 'access-key' OR ?5 <> 'access-key')
            AND NOT EXISTS (SELECT 1 FROM tasks AS back INDEXED BY tasks_lock
                WHERE back.lock = t.lock AND back.desired = 'reinstated'
                    AND back.undoes = t.case_id AND back.state IN ('open', 'done'))
            AND (?3 IS NULL OR NOT EXISTS (SELECT 1 FROM cases AS mine JOIN cases AS theirs
                ON theirs.zone = mine.zone AND theirs.contract = mine.contract
                WHERE mine.id = ?2 AND theirs.id = t.case_id)))";

/// Who else wants what `task` is about revoked.
pub(super) async fn holds(connection: &mut SqliteConnection, task: &Task) -> Result<Holds, Fault> {
    let user = task.target.key_user().map(|user| Target::User { user: user.clone() }.key());
    let (other, target, ended, user, compromise): (bool, bool, bool, bool, bool) =
        sqlx::query_as(HOLDS)
            .bind(task.target.lock())
            .bind(task.case.as_str())
            .bind(task.undoes.as_ref().map(CaseId::as_str))
            .bind(task.target.key())
            .bind(task.target.kind().as_str())
            .bind(user)
            .bind(task.desired != Desired::Rotated)
            .fetch_one(connection)
            .await?;
    Ok(Holds { other, target, ended, user, compromise })
}

/// What tasks on this identity that are done have changed, but for those that are being put back.
pub(super) const FINISHED: &str = "
    SELECT t.body FROM tasks AS t INDEXED BY tasks_lock
    WHERE t.lock = ?1 AND t.desired IN ('revoked', 'rotated') AND t.state = 'done' AND t.changed = 1
        AND NOT EXISTS (SELECT 1 FROM tasks AS back INDEXED BY tasks_lock
            WHERE back.lock = t.lock AND back.desired = 'reinstated'
                AND back.undoes = t.case_id AND back.state <> 'superseded')";

/// Keys of a user that tasks switched off and proved dead.
pub(super) async fn dead_keys(
    connection: &mut SqliteConnection,
    user: &UserRef,
) -> Result<BTreeSet<String>, Fault> {
    let lock = Target::User { user: user.clone() }.lock();
    let bodies: Vec<String> = sqlx::query_scalar(FINISHED).bind(lock).fetch_all(connection).await?;
    let mut keys = BTreeSet::new();
    for body in bodies {
        let task: Task = from_json("task", &body)?;
        keys.extend(task.record.changes.into_iter().filter_map(|change| match change {
            Change::KeyDeactivated { user: of, key_id } if of.id == user.id => Some(key_id),
            _ => None,
        }));
    }
    Ok(keys)
}

/// Lower lanes' leases on locks that compromise tasks wait for which are due at `?1`.
pub(super) const IN_THE_WAY: &str = "
    SELECT held.id FROM tasks AS held INDEXED BY tasks_leased
    WHERE held.lease_until IS NOT NULL AND held.lane > 0
        AND EXISTS (SELECT 1 FROM tasks AS t INDEXED BY tasks_lock
            WHERE t.lock = held.lock AND t.lane = 0 AND t.lease_until IS NULL AND t.parked = 0
                AND t.next_at <= ?1)";

/// The tasks of [`IN_THE_WAY`].
pub(super) async fn in_the_way(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<BTreeSet<TaskId>, Fault> {
    let ids: Vec<String> =
        sqlx::query_scalar(IN_THE_WAY).bind(micros(now)).fetch_all(connection).await?;
    Ok(ids.into_iter().map(TaskId).collect())
}
