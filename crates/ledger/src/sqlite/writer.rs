//! The one writer, and group commit.
//!
//! Calls are queued to a single thread that owns the writing connection. It takes what waits, applies
//! it in one transaction, commits once, and only then answers. Where a call fails, all is rolled back and
//! applied again with a savepoint for each, so that one's failure does not spoil the others; that is
//! rare, and savepoints for all would cost more than half of a commit. So callers that wait at the same time share one
//! `fsync`. Calls queue by how urgent they are; see [`Urgency`].
//!
//! A thread, and no task of the runtime: a transaction is many small answers from `SQLite`'s own thread, and
//! a busy runtime lets each of them wait behind whatever else it has to do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use severance_engine::ports::LedgerError;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};

use super::lock::FileLock;
use super::open::shut;
use crate::fault::Fault;

/// Calls that may wait in each queue; more wait at its door.
const QUEUE: usize = 1024;
/// Calls in one commit: bounds the time to an answer.
const GROUP: usize = 256;
/// Calls that may join a commit which more urgent ones wait for: few, so that it is not late, and some, so
/// that they are never starved.
const COMPANY: usize = 8;

/// What a call does with the connection.
pub(super) type Running<'c, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'c>>;

/// Which queue, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Steps of compromise work in hand, and short work that it waits for: a provider call waits for it.
    Step,
    /// Compromise work that is taken in and planned: it is next.
    Urgent,
    /// Everything else.
    Normal,
}

impl Urgency {
    const ALL: [Self; 3] = [Self::Step, Self::Urgent, Self::Normal];
}

/// The way to the writing thread.
pub(super) struct Writer {
    queues: [mpsc::Sender<Box<dyn Job>>; Urgency::ALL.len()],
    closing: watch::Sender<bool>,
    end: tokio::sync::Mutex<Option<oneshot::Receiver<Result<(), sqlx::Error>>>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the writing thread, which keeps `lock` as long as it has the connection.
    pub(super) fn start(connection: SqliteConnection, lock: FileLock) -> std::io::Result<Self> {
        let (step, steps) = mpsc::channel(QUEUE);
        let (urgent, urgents) = mpsc::channel(QUEUE);
        let (normal, normals) = mpsc::channel(QUEUE);
        let (closing, closed) = watch::channel(false);
        let commits = Arc::new(AtomicU64::new(0));
        let queues = Queues { jobs: [steps, urgents, normals], closed };
        let work = run(connection, lock, queues, Arc::clone(&commits));
        let runtime = tokio::runtime::Handle::current();
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(move || {
            // Nobody may wait for it: a ledger that is dropped is not closed in order.
            let _ = ended.send(runtime.block_on(work));
        })?;
        let queues = [step, urgent, normal];
        Ok(Self { queues, closing, end: tokio::sync::Mutex::new(Some(end)), commits })
    }

    /// Applies `work` in the next commit and returns what it returned once that is durable. It may be
    /// applied twice, the first time in vain.
    pub(super) async fn write<T, F>(
        &self,
        urgency: Urgency,
        doing: &'static str,
        work: F,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut SqliteConnection) -> Running<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { work, result: None, reply });
        let queue = &self.queues[urgency as usize];
        queue.send(job).await.map_err(|_| Fault::Closed.during(doing))?;
        answer.await.unwrap_or(Err(Fault::Closed)).map_err(|fault| fault.during(doing))
    }

    /// How many commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Commits what is queued, refuses more, and closes the file.
    pub(super) async fn close(&self) -> Result<(), LedgerError> {
        self.closing.send_replace(true);
        let Some(end) = self.end.lock().await.take() else { return Ok(()) };
        match end.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::Store(error).during("close")),
            Err(error) => Err(LedgerError::Store { doing: "close", source: Box::new(error) }),
        }
    }
}

/// One call in a queue.
trait Job: Send {
    /// Does it; whether it is to be committed.
    fn apply<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Answers the caller, after the commit or its failure.
    fn answer(self: Box<Self>, commit: Result<(), Arc<sqlx::Error>>);
}

struct Call<T, F> {
    work: F,
    result: Option<Result<T, Fault>>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: for<'c> Fn(&'c mut SqliteConnection) -> Running<'c, T> + Send,
{
    fn apply<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let result = (self.work)(connection).await;
            let stored = result.is_ok();
            self.result = Some(result);
            stored
        })
    }

    fn answer(self: Box<Self>, commit: Result<(), Arc<sqlx::Error>>) {
        let answer = match (self.result, commit) {
            (Some(Err(fault)), _) => Err(fault),
            (_, Err(error)) => Err(Fault::Commit(error)),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(Fault::Closed),
        };
        // A caller that is gone does not want to know.
        let _ = self.reply.send(answer);
    }
}

struct Queues {
    jobs: [mpsc::Receiver<Box<dyn Job>>; Urgency::ALL.len()],
    closed: watch::Receiver<bool>,
}

impl Queues {
    /// Waits for a call. `None` once nothing waits and nothing can come any more.
    async fn first(&mut self) -> Option<(Urgency, Box<dyn Job>)> {
        loop {
            let closing = *self.closed.borrow_and_update();
            if closing {
                self.jobs.iter_mut().for_each(mpsc::Receiver::close);
            }
            let [steps, urgents, normals] = &mut self.jobs;
            tokio::select! {
                biased;
                Some(job) = steps.recv() => return Some((Urgency::Step, job)),
                Some(job) = urgents.recv() => return Some((Urgency::Urgent, job)),
                Some(job) = normals.recv() => return Some((Urgency::Normal, job)),
                Ok(()) = self.closed.changed(), if !closing => {}
                else => return None,
            }
        }
    }

    /// A call that waits already and may join the commit.
    fn more(&mut self, room: &Room) -> Option<(Urgency, Box<dyn Job>)> {
        let open = Urgency::ALL.into_iter().filter(|urgency| room.0[*urgency as usize] > 0);
        let mut jobs = open.filter_map(|urgency| {
            let job = self.jobs[urgency as usize].try_recv().ok()?;
            Some((urgency, job))
        });
        jobs.next()
    }
}

/// How many calls of each queue may still join a commit.
struct Room([usize; Urgency::ALL.len()]);

impl Room {
    fn new() -> Self {
        Self([GROUP; Urgency::ALL.len()])
    }

    /// A call joins.
    fn take(&mut self, urgency: Urgency) {
        let [at_hand, less_urgent @ ..] = &mut self.0[urgency as usize..] else { return };
        *at_hand = at_hand.saturating_sub(1);
        for room in less_urgent {
            *room = COMPANY.min(*room);
        }
    }
}

async fn run(
    mut connection: SqliteConnection,
    lock: FileLock,
    mut queues: Queues,
    commits: Arc<AtomicU64>,
) -> Result<(), sqlx::Error> {
    while let Some(first) = queues.first().await {
        let mut group = Vec::new();
        let outcome = commit_group(&mut connection, first, &mut queues, &mut group).await;
        match &outcome {
            Ok(()) => {
                commits.fetch_add(1, Ordering::Relaxed);
            }
            // The callers are told, and log it. Whatever is left of the transaction goes; where the
            // store has rolled it back itself there is nothing left, and that is no failure.
            Err(_) => drop(statement(&mut connection, "ROLLBACK").await),
        }
        for job in group {
            job.answer(outcome.clone());
        }
    }
    let shut = shut(connection).await;
    drop(lock);
    shut
}

/// Applies a group in one transaction. The calls are in `group` afterwards, whatever happened.
async fn commit_group(
    connection: &mut SqliteConnection,
    first: (Urgency, Box<dyn Job>),
    queues: &mut Queues,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<(), Arc<sqlx::Error>> {
    let mut room = Room::new();
    let mut next = Some(first);
    let mut begun = statement(connection, "BEGIN IMMEDIATE").await;
    let mut whole = true;
    while let Some((urgency, mut job)) = next {
        room.take(urgency);
        if begun.is_ok() {
            whole = job.apply(connection).await;
        }
        group.push(job);
        let full = group.len() >= GROUP || begun.is_err() || !whole;
        next = if full { None } else { queues.more(&room) };
    }
    if !whole {
        // Nothing may be left to roll back: some failures (a full disk) do it by themselves.
        let _ = statement(connection, "ROLLBACK").await;
        begun = apply_apart(connection, group).await;
    }
    begun?;
    statement(connection, "COMMIT").await
}

/// Applies a group again, so that each call fails for itself alone.
async fn apply_apart(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Job>],
) -> Result<(), Arc<sqlx::Error>> {
    statement(connection, "BEGIN IMMEDIATE").await?;
    for job in group {
        statement(connection, "SAVEPOINT call").await?;
        if !job.apply(connection).await {
            // Where the failure rolled the whole transaction back, this fails too, and with it
            // everyone in the group.
            statement(connection, "ROLLBACK TO call").await?;
        }
        statement(connection, "RELEASE call").await?;
    }
    Ok(())
}

async fn statement(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<(), Arc<sqlx::Error>> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(Arc::new)
}
