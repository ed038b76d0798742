//! Keeps state: SQLite behind the ports.
