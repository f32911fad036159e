//! The console over HTTP, with a ledger that only remembers what it was asked.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use severance_console::{Console, Readiness, Ready, Scrape, Token, router};
use severance_engine::ports::{
    CaseDetail, CaseFilter, CaseSummary, Clock, Counts, Exposure, LedgerError, Queries, TaskDetail,
    TaskFilter,
};
use severance_lifecycle::event::Trigger;
use severance_lifecycle::ids::{CaseId, TaskId};
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Asked {
    filters: Mutex<Vec<String>>,
    retried: Mutex<Vec<Option<String>>>,
    broken: bool,
}

#[async_trait]
impl Queries for Asked {
    async fn cases(&self, filter: &CaseFilter) -> Result<Vec<CaseSummary>, LedgerError> {
        self.filters.lock().unwrap().push(format!("{filter:?}"));
        Ok(Vec::new())
    }
    async fn case(&self, id: &CaseId) -> Result<CaseDetail, LedgerError> {
        Err(LedgerError::NotFound { what: format!("case {id}") })
    }
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskDetail>, LedgerError> {
        self.filters.lock().unwrap().push(format!("{filter:?}"));
        Ok(Vec::new())
    }
    async fn counts(&self) -> Result<Counts, LedgerError> {
        if self.broken {
            let source = std::io::Error::other("disk at /secret/place is full").into();
            return Err(LedgerError::Store { doing: "count", source });
        }
        Ok(Counts { accepted: 3, ..Counts::default() })
    }
    async fn exposures(&self) -> Result<Vec<Exposure>, LedgerError> {
        Ok(Vec::new())
    }
    async fn retry(
        &self,
        task: Option<&TaskId>,
        _by: &str,
        _now: DateTime<Utc>,
    ) -> Result<usize, LedgerError> {
        self.retried.lock().unwrap().push(task.map(|t| t.0.clone()));
        Ok(2)
    }
    async fn release(
        &self,
        case: &CaseId,
        _by: &str,
        _now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        if case.as_str() == "c-held" {
            return Ok(());
        }
        let (what, why) = (format!("case {case}"), "is not held".to_owned());
        Err(LedgerError::Conflict { what, why })
    }
}

struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
    async fn sleep(&self, _: TimeDelta) {}
}

struct Parts(bool);

#[async_trait]
impl Readiness for Parts {
    async fn check(&self) -> Vec<Ready> {
        vec![Ready { part: "ledger".into(), ready: self.0, why: None }]
    }
}

#[async_trait]
impl Scrape for Parts {
    async fn scrape(&self) -> String {
        "# EOF\n".into()
    }
}

struct Fixture {
    asked: Arc<Asked>,
    changed: Arc<AtomicUsize>,
    router: Router,
}

fn fixture(ready: bool, broken: bool) -> Fixture {
    let asked = Arc::new(Asked { broken, ..Asked::default() });
    let changed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changed);
    let console = Console {
        queries: Arc::<Asked>::clone(&asked),
        readiness: Arc::new(Parts(ready)),
        scrape: Arc::new(Parts(ready)),
        clock: Arc::new(Stopped),
        token: Token::new(TOKEN).unwrap(),
        hosts: vec!["severance.internal".into()],
        changed: Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
    };
    Fixture { asked, changed, router: router(console) }
}

impl Fixture {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.send("GET", path, &[("host", "127.0.0.1:9464")]).await
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef0123456789abcdef");
const HOST: (&str, &str) = ("host", "localhost:9464");

#[tokio::test]
async fn a_write_without_the_token_changes_nothing() {
    let fixture = fixture(true, false);
    for headers in [
        vec![HOST],
        vec![HOST, ("authorization", "Bearer 0123456789abcdef0123456789abcdee")],
        vec![HOST, ("authorization", "Basic 0123456789abcdef0123456789abcdef")],
        vec![HOST, ("authorization", TOKEN)],
    ] {
        let (status, body) = fixture.send("POST", "/api/v1/tasks/retry", &headers).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{headers:?}: {body}");
        assert!(body.contains("token"), "{body}");
    }
    assert!(fixture.asked.retried.lock().unwrap().is_empty());
    assert_eq!(fixture.changed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_write_from_another_origin_is_refused_even_with_the_token() {
    let fixture = fixture(true, false);
    for foreign in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let headers = [HOST, BEARER, foreign];
        let (status, body) = fixture.send("POST", "/api/v1/tasks/retry", &headers).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{foreign:?}: {body}");
    }
    assert!(fixture.asked.retried.lock().unwrap().is_empty());
    let own =
        [HOST, BEARER, ("origin", "http://localhost:9464"), ("sec-fetch-site", "same-origin")];
    assert_eq!(fixture.send("POST", "/api/v1/tasks/retry", &own).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_rebound_name_may_not_even_read() {
    let fixture = fixture(true, false);
    for path in ["/metrics", "/healthz", "/api/v1/cases", "/nowhere"] {
        let (status, _) = fixture.send("GET", path, &[("host", "evil.example:9464")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        let (status, _) = fixture.send("GET", path, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} without a Host");
    }
    let own = [("host", "severance.internal")];
    assert_eq!(fixture.send("GET", "/healthz", &own).await.0, StatusCode::OK);
}

#[tokio::test]
async fn retry_and_release_reach_the_ledger_and_wake_the_scheduler() {
    let fixture = fixture(true, false);
    let writes = ["/api/v1/tasks/retry", "/api/v1/tasks/t-1/retry", "/api/v1/cases/c-held/release"];
    for path in writes {
        let (status, body) = fixture.send("POST", path, &[HOST, BEARER]).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    assert_eq!(*fixture.asked.retried.lock().unwrap(), [None, Some("t-1".to_owned())]);
    assert_eq!(fixture.changed.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn refusals_are_json_with_a_reason() {
    let fixture = fixture(true, false);
    let (status, body) = fixture.get("/api/v1/cases/c-none").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::NOT_FOUND, r#"{"error":"there is no case c-none"}"#)
    );
    let (status, body) =
        fixture.send("POST", "/api/v1/cases/c-open/release", &[HOST, BEARER]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body.contains("is not held"), "{body}");
    let (status, body) = fixture.get("/api/v1/cases?limit=many").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.starts_with(r#"{"error":"#), "{body}");
    assert_eq!(fixture.get("/nowhere").await.0, StatusCode::NOT_FOUND);
    let wrong = fixture.send("DELETE", "/api/v1/cases", &[HOST, BEARER]).await;
    assert_eq!(wrong.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_broken_ledger_answers_503_and_keeps_its_paths_to_itself() {
    let (status, body) = fixture(true, true).get("/api/v1/summary").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!body.contains("/secret/place"), "{body}");
}

#[tokio::test]
async fn readiness_follows_its_parts_and_liveness_does_not() {
    let ready = fixture(true, false);
    assert_eq!(ready.get("/readyz").await.0, StatusCode::OK);
    let unready = fixture(false, false);
    let (status, body) = unready.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""part":"ledger","ready":false"#), "{body}");
    assert_eq!(unready.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn filters_and_the_summary_are_passed_through() {
    let fixture = fixture(true, false);
    let (status, _) = fixture.get("/api/v1/cases?state=held&limit=5&event_id=e-1").await;
    assert_eq!(status, StatusCode::OK);
    let asked = fixture.asked.filters.lock().unwrap().join("");
    assert!(asked.contains("held") && asked.contains('5') && asked.contains("e-1"), "{asked}");
    let (status, body) = fixture.get("/api/v1/summary").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains(r#""accepted":3"#), "{body}");
    for trigger in Trigger::ALL {
        let times = format!(r#""{}":{{"count":0"#, trigger.as_str());
        assert!(body.contains(&times), "{times} is not in {body}");
    }
}
