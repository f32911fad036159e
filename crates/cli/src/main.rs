//! The severance command.
fn main() {}
