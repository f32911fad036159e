//! The one writer, and group commit.
//!
//! Calls are queued to a single task that owns the writing connection. It takes what waits, applies
//! it in one transaction (a savepoint for each call, so that one's failure does not spoil the
//! others), commits once, and only then answers. So callers that wait at the same time share one
//! `fsync`. Calls of the compromise lane have a queue of their own that is emptied first.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use severance_engine::ports::LedgerError;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::lock::FileLock;
use super::open::shut;
use crate::fault::Fault;

/// Calls that may wait in each queue; more wait at its door.
const QUEUE: usize = 1024;
/// Calls in one commit: bounds the time to an answer.
const GROUP: usize = 256;
/// Calls of lower lanes that may join a commit that a compromise waits for.
const COMPANY: usize = 16;

/// What a call does with the connection.
pub(super) type Running<'c, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'c>>;

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Work of the compromise lane, and short work that it waits for.
    Urgent,
    /// Everything else.
    Normal,
}

impl Urgency {
    pub(super) fn of(urgent: bool) -> Self {
        if urgent { Self::Urgent } else { Self::Normal }
    }
}

/// The way to the writing task.
pub(super) struct Writer {
    urgent: mpsc::Sender<Box<dyn Job>>,
    normal: mpsc::Sender<Box<dyn Job>>,
    closing: watch::Sender<bool>,
    task: tokio::sync::Mutex<Option<JoinHandle<Result<(), sqlx::Error>>>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the writing task, which keeps `lock` as long as it has the connection.
    pub(super) fn start(connection: SqliteConnection, lock: FileLock) -> Self {
        let (urgent, urgent_jobs) = mpsc::channel(QUEUE);
        let (normal, normal_jobs) = mpsc::channel(QUEUE);
        let (closing, closed) = watch::channel(false);
        let commits = Arc::new(AtomicU64::new(0));
        let queues = Queues { urgent: urgent_jobs, normal: normal_jobs, closed };
        let task = tokio::spawn(run(connection, lock, queues, Arc::clone(&commits)));
        Self { urgent, normal, closing, task: tokio::sync::Mutex::new(Some(task)), commits }
    }

    /// Applies `work` in the next commit and returns what it returned once that is durable.
    pub(super) async fn write<T, F>(
        &self,
        urgency: Urgency,
        doing: &'static str,
        work: F,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Running<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { work: Some(work), result: None, reply });
        let queue = match urgency {
            Urgency::Urgent => &self.urgent,
            Urgency::Normal => &self.normal,
        };
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
        let Some(task) = self.task.lock().await.take() else { return Ok(()) };
        match task.await {
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
    work: Option<F>,
    result: Option<Result<T, Fault>>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Running<'c, T> + Send,
{
    fn apply<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let result = work(connection).await;
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
    urgent: mpsc::Receiver<Box<dyn Job>>,
    normal: mpsc::Receiver<Box<dyn Job>>,
    closed: watch::Receiver<bool>,
}

impl Queues {
    /// Waits for a call. `None` once nothing waits and nothing can come any more.
    async fn first(&mut self) -> Option<(Urgency, Box<dyn Job>)> {
        loop {
            let closing = *self.closed.borrow_and_update();
            if closing {
                self.urgent.close();
                self.normal.close();
            }
            tokio::select! {
                biased;
                Some(job) = self.urgent.recv() => return Some((Urgency::Urgent, job)),
                Some(job) = self.normal.recv() => return Some((Urgency::Normal, job)),
                Ok(()) = self.closed.changed(), if !closing => {}
                else => return None,
            }
        }
    }

    /// A call that waits already and may join the commit.
    fn more(&mut self, company: usize) -> Option<(Urgency, Box<dyn Job>)> {
        if let Ok(job) = self.urgent.try_recv() {
            return Some((Urgency::Urgent, job));
        }
        if company == 0 {
            return None;
        }
        self.normal.try_recv().ok().map(|job| (Urgency::Normal, job))
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
    let mut company = GROUP;
    let mut next = Some(first);
    let mut result = statement(connection, "BEGIN IMMEDIATE").await;
    while let Some((urgency, mut job)) = next {
        if urgency == Urgency::Urgent {
            company = company.min(COMPANY);
        } else {
            company = company.saturating_sub(1);
        }
        if result.is_ok() {
            result = apply_one(connection, job.as_mut()).await;
        }
        group.push(job);
        let full = group.len() >= GROUP || result.is_err();
        next = if full { None } else { queues.more(company) };
    }
    result?;
    statement(connection, "COMMIT").await
}

async fn apply_one(
    connection: &mut SqliteConnection,
    job: &mut dyn Job,
) -> Result<(), Arc<sqlx::Error>> {
    statement(connection, "SAVEPOINT call").await?;
    if !job.apply(connection).await {
        // Some failures (a full disk) roll the whole transaction back: then this fails too, and with
        // it everyone in the group.
        statement(connection, "ROLLBACK TO call").await?;
    }
    statement(connection, "RELEASE call").await
}

async fn statement(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<(), Arc<sqlx::Error>> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(Arc::new)
}
