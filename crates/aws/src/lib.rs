//! IAM, STS and Secrets Manager: inventory, actions, probes, error classes, rate limits.
