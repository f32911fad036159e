//! The strategy `webhook`: an owner's HTTPS endpoint sets, tries and takes away what a secret opens.
//!
//! It is told the secret's ARN and the version's id, never the value: it reads that itself, with its own
//! permissions. The wire format is docs/ROTATION-WEBHOOK.md; a reference receiver is in `examples/`.

mod answer;
mod call;
mod endpoint;
mod error;
mod issuer;
mod next_value;
mod signing;

pub use answer::{Answer, AnswerError, Status};
pub use call::{Call, CallKind};
pub use endpoint::{Endpoint, EndpointError};
pub use error::WebhookError;
pub use issuer::{SetUpError, WebhookIssuer, WebhookSettings};
pub use next_value::{NextValueError, next_value};
pub use signing::{KeyError, KeySource, SigningKey};
