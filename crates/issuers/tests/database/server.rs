//! A real PostgreSQL of its own for a test: with TLS, SCRAM, a log of every statement, and its end
//! when the test ends, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// The administrator's name and password.
pub(crate) const ADMIN: (&str, &str) = ("admin", "Adm1nS3cr3tAdm1nS3cr3t");

/// Who may come, and how. A user that is turned away before its password is looked at, one that needs
/// none, and everybody else.
const HBA: &str = "\
host all turned_away all reject
hostssl all trusted all trust
hostssl all all all scram-sha-256
";

/// In case something is badly broken; nothing waits for this long.
const START: Duration = Duration::from_mins(1);

/// A running server, stopped when it is dropped.
pub(crate) struct Server {
    /// Of its TCP socket, at `localhost`.
    pub(crate) port: u16,
    process: Child,
    log: Arc<Mutex<String>>,
    directory: TempDir,
}

impl Server {
    /// Starts one with these settings beside the usual ones.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::find();
        owner.give(directory.path());
        init(directory.path(), &owner);
        write_certificates(directory.path(), &owner);
        // Somebody else may take the port between our look and the server's start.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some((process, log)) = spawn(directory.path(), &owner, port, settings) {
                return Self { port, process, log, directory };
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// The file with the authority that the server's certificate comes from.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// An authority of another one, with the same name.
    pub(crate) fn other_ca_file(&self) -> PathBuf {
        self.directory.path().join("other-ca.pem")
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Stops it for good ("fast": it ends the connections, and leaves no shared memory behind).
    pub(crate) fn stop(&mut self) {
        let _ = kill_process(self.pid(), Signal::INT);
        let _ = self.process.wait();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.stop();
        }
    }
}

/// PostgreSQL refuses to run as root: then the package's own user runs it.
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn find() -> Self {
        if !getuid().is_root() {
            return Self(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let line = users.lines().find(|line| line.starts_with("postgres:"));
        let line = line.expect("no user postgres: run scripts/setup postgresql");
        let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
        Self(Some((ids.next().unwrap(), ids.next().unwrap())))
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// `setpriv` becomes the program, so that its process id is the program's; the program ends with us,
    /// even if we are killed.
    fn command(&self, program: &str) -> Command {
        let program = binaries().join(program);
        let mut command = Command::new("setpriv");
        if let Some((user, group)) = self.0 {
            command.args([format!("--reuid={user}"), format!("--regid={group}")]);
            command.arg("--clear-groups");
        }
        command.arg("--pdeathsig=INT").arg("--").arg(program);
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command
    }
}

/// Debian keeps the server's programs out of the path, by version.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql");
    let versions = versions.expect("no PostgreSQL: run scripts/setup postgresql");
    let mut found: Vec<_> = versions
        .map(|version| version.unwrap().path().join("bin"))
        .filter(|bin| bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().expect("no PostgreSQL: run scripts/setup postgresql")
}

fn init(directory: &Path, owner: &Owner) {
    let password = directory.join("password");
    fs::write(&password, ADMIN.1).unwrap();
    owner.give(&password);
    let output = owner
        .command("initdb")
        .arg("--pgdata")
        .arg(directory.join("data"))
        .arg(format!("--username={}", ADMIN.0))
        .arg(format!("--pwfile={}", password.display()))
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // In place, so that it stays the owner's.
    fs::write(directory.join("data/pg_hba.conf"), HBA).unwrap();
}

fn write_certificates(directory: &Path, owner: &Owner) {
    let authority = authority();
    fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    fs::write(directory.join("other-ca.pem"), self::authority().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();
    fs::write(directory.join("server.pem"), certificate.pem()).unwrap();
    let key_file = directory.join("server.key");
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    owner.give(&key_file);
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// `None` where the server ended before it was ready.
fn spawn(
    directory: &Path,
    owner: &Owner,
    port: u16,
    settings: &[&str],
) -> Option<(Child, Arc<Mutex<String>>)> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut command = owner.command("postgres");
    command.args(["-D", &file("data"), "-p", &port.to_string(), "-k", &file("")]);
    for setting in [
        "listen_addresses=localhost",
        "ssl=on",
        &format!("ssl_cert_file={}", file("server.pem")),
        &format!("ssl_key_file={}", file("server.key")),
        "password_encryption=scram-sha-256",
        "log_statement=all",
        "log_connections=on",
        "log_min_error_statement=debug5",
        "fsync=off",
    ]
    .iter()
    .chain(settings)
    {
        command.args(["-c", setting]);
    }
    let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let ready = follow(process.stderr.take().unwrap(), Arc::clone(&log));
    if ready.recv_timeout(START).is_ok() {
        return Some((process, log));
    }
    let _ = process.kill();
    let _ = process.wait();
    eprintln!("{}", log.lock().unwrap());
    None
}

/// Keeps the log, and says when the server is ready. Ends with the server.
fn follow(from: ChildStderr, log: Arc<Mutex<String>>) -> Receiver<()> {
    let (ready, waits): (Sender<()>, _) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let is_ready = line.contains("database system is ready to accept connections");
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
            if is_ready {
                let _ = ready.send(());
            }
        }
    });
    waits
}
