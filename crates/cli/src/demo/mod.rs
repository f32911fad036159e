use crate::{args::DemoArgs, error::Outcome, output::Format};
pub(crate) async fn run(_: &DemoArgs, _: Format) -> Outcome {
    Ok(())
}
