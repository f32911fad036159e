//! Randomness for secrets, as a port: nothing here takes it from the environment.

/// The source of randomness had nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no randomness for a new secret")]
pub struct RandomnessUnavailable;

/// Randomness that is good enough for secrets: the operating system's, or a generator seeded by it.
pub trait RandomBytes: Send + Sync {
    /// Overwrites all of `bytes`.
    ///
    /// # Errors
    /// Where the source fails; `bytes` must then not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessUnavailable>;
}

impl<F> RandomBytes for F
where
    F: Fn(&mut [u8]) -> Result<(), RandomnessUnavailable> + Send + Sync,
{
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessUnavailable> {
        self(bytes)
    }
}
