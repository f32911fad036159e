//! A server that answers what it is told to, byte for byte.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A running server.
pub(crate) struct Raw {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    /// Answers the first request with the first answer and so on, and then the last one for ever.
    /// An empty answer keeps the connection open and silent.
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        Self::start_over(answers, None).await
    }

    /// The same over TLS.
    pub(crate) async fn start_over(answers: Vec<Vec<u8>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let number = seen.lock().unwrap().len().min(answers.len() - 1);
                let answer = answers[number].clone();
                match &tls {
                    None => exchange(socket, &answer, &seen).await,
                    Some(tls) => {
                        // A client that does not trust us hangs up.
                        let Ok(socket) = tls.accept(socket).await else { continue };
                        exchange(socket, &answer, &seen).await;
                    }
                }
            }
        });
        Self { port, requests }
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A whole answer with this code, these header lines and this body.
pub(crate) fn answer(code: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {code} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

async fn exchange<S>(mut socket: S, answer: &[u8], seen: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = String::new();
    while !is_whole(&request) {
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(read) if read > 0 => request.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            _ => return,
        }
    }
    seen.lock().unwrap().push(request);
    if answer.is_empty() {
        // Silent until the client gives up.
        tokio::spawn(async move { socket.read(&mut [0; 1]).await });
        return;
    }
    // The client may hang up in the middle of what is too much.
    let _ = socket.write_all(answer).await;
    let _ = socket.shutdown().await;
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
