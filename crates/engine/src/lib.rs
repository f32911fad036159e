//! Drives tasks to their desired state over ports: claims, leases, lanes, backoff, drain.
