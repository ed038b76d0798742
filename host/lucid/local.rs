//! What this machine tells about itself.

use std::{fs, net::SocketAddr};

/// Which process listens on a port, as far as `/proc` shows it: `nginx (pid 42)`.
pub fn listener_on(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let local = columns.get(1)?.rsplit(':').next()?;
            // State 0A is LISTEN.
            let listens =
                columns.get(3) == Some(&"0A") && u16::from_str_radix(local, 16) == Ok(port);
            listens.then(|| columns.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
        })
    })?;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let holds = |fd: fs::DirEntry| {
            fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy() == inode)
        };
        if fs::read_dir(process.path().join("fd"))
            .is_ok_and(|mut fds| fds.any(|fd| fd.is_ok_and(holds)))
        {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!(
                "{} (pid {})",
                name.trim(),
                process.file_name().to_string_lossy()
            ));
        }
    }
    None
}

/// Says why an address cannot be listened on, and what to do.
pub fn busy(address: SocketAddr, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        let by = listener_on(address.port()).unwrap_or_else(|| "another process".to_owned());
        format!(
            "port {} is used by {by}; choose another one with --port {}",
            address.port(),
            address.port().wrapping_add(1)
        )
    } else {
        format!("cannot listen on {address}: {error}")
    }
}
