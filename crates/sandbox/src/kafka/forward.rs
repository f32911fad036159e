//! Forwards a chosen port to the mock broker's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::KafkaError;

/// A running forwarder; dropping it closes the port, not the connections.
pub(super) struct Forwarder {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Forwarder {
    /// Listens and forwards.
    pub(super) fn start(listen: IpAddr, port: u16, to: &str) -> Result<Self, KafkaError> {
        let failed = |source| KafkaError::Port { address: format!("{listen}:{port}"), source };
        let listener = TcpListener::bind((listen, port)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (to, over) = (to.to_owned(), Arc::clone(&ended));
        thread::Builder::new()
            .name("sandbox-kafka-port".into())
            .spawn(move || accept(&listener, &to, &over))
            .map_err(failed)?;
        Ok(Self { address, ended })
    }

    /// The port, where 0 was asked for.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let host = match self.address.ip() {
            host if host.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
            host => host,
        };
        let _ = TcpStream::connect((host, self.address.port()));
    }
}

fn accept(listener: &TcpListener, to: &str, ended: &AtomicBool) {
    for client in listener.incoming() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        // A client that cannot be forwarded, since the broker is stopped, is dropped: refused.
        if let Ok(client) = client
            && let Err(error) = forward(client, to)
        {
            tracing::debug!(%error, "sandbox Kafka: a connection was not forwarded");
        }
    }
}

fn forward(client: TcpStream, to: &str) -> io::Result<()> {
    let broker = TcpStream::connect(to)?;
    for stream in [&client, &broker] {
        stream.set_nodelay(true)?;
    }
    pump(client.try_clone()?, broker.try_clone()?)?;
    pump(broker, client)
}

/// Copies one way until either side ends, then ends both.
fn pump(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    thread::Builder::new().name("sandbox-kafka-pump".into()).spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    })?;
    Ok(())
}
