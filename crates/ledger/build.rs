//! Rebuilds when a migration is added: `sqlx::migrate!` reads them at compile time.

#[allow(clippy::print_stdout, reason = "the way to talk to cargo")]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
