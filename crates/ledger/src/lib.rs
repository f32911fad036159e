//! The durable state: inbox, cases, tasks, timers, outbox and inventory on SQLite.
