//! What a process costs.

use std::time::Duration;

use crate::service::Service;

/// Processor time that a process used so far.
pub fn cpu(service: &Service) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.child.id())).unwrap();
    // After the command's name, which may have blanks: user and system time, in hundredths of a
    // second on every Linux.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(
        10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()),
    )
}
