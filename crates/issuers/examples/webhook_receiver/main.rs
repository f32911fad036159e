//! A reference receiver of the rotation webhook, docs/ROTATION-WEBHOOK.md.
//!
//! ```sh
//! WEBHOOK_KEY="$(openssl rand -hex 32)" cargo run -p severance-issuers --example webhook_receiver
//! ```
//!
//! `WEBHOOK_KEY_BEFORE` is believed too, while the key is being changed.
#![allow(clippy::print_stdout, reason = "an example for a terminal")]

mod receiver;

use std::time::{SystemTime, UNIX_EPOCH};

use receiver::Receiver;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let keys: Vec<Vec<u8>> = ["WEBHOOK_KEY", "WEBHOOK_KEY_BEFORE"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .map(String::into_bytes)
        .collect();
    if keys.is_empty() || keys.iter().any(|key| key.len() < 32) {
        return Err(std::io::Error::other("set WEBHOOK_KEY to at least 32 characters"));
    }
    let receiver = Receiver::new(&keys, unix_seconds);
    receiver.store("arn:aws:secretsmanager:eu-west-1:111122223333:secret:example", "v1", "first");
    // Behind something that speaks TLS: Severance calls plain HTTP on loopback addresses alone.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8088").await?;
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(listener, receiver.router()).await
}

#[allow(clippy::disallowed_methods, reason = "a real receiver lives in real time")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
