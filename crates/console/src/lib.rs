//! The worker's local HTTP: health, metrics, the API.
