//! Metrics, traces and logs; every metric name in one file.
