//! The strategy `webhook`.
