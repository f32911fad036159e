//! What is called, by name, and where.

/// What is called: `iam:GetUser`, and in which of the account's regions, where the service is not one
/// everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'o> {
    pub(crate) name: &'o str,
    pub(crate) region: Option<usize>,
}

impl<'o> From<&'o str> for Operation<'o> {
    fn from(name: &'o str) -> Self {
        Self { name, region: None }
    }
}

impl<'o> From<(&'o str, usize)> for Operation<'o> {
    fn from((name, region): (&'o str, usize)) -> Self {
        Self { name, region: Some(region) }
    }
}
