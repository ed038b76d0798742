//! Which interfaces count: what leaves the machine, once.

use std::path::Path;

/// The type of a loopback device in `/sys/class/net/*/type`.
const LOOPBACK: &str = "772";

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Loopback,
    /// Bridges, tunnels, bonds, halves of a pair: what goes through them also goes through another
    /// one.
    Virtual,
    Physical,
}

/// None where the system has no such tree.
fn kind(root: &Path, name: &str) -> Option<Kind> {
    let dir = root.join("sys/class/net").join(name);
    let of = std::fs::read_to_string(dir.join("type")).ok()?;
    Some(match of.trim() {
        LOOPBACK => Kind::Loopback,
        _ if dir.join("device").exists() => Kind::Physical,
        _ => Kind::Virtual,
    })
}

/// The interfaces that count, of those that are not known to be a loopback: the physical ones; in a
/// container, which has none, all of them.
pub(super) fn counted<'a>(root: &Path, names: &[&'a str]) -> Vec<&'a str> {
    let kinds: Vec<_> =
        names.iter().map(|name| (*name, kind(root, name).unwrap_or(Kind::Physical))).collect();
    let of = |wanted: Kind| {
        kinds.iter().filter(|(_, kind)| *kind == wanted).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let physical = of(Kind::Physical);
    if physical.is_empty() { of(Kind::Virtual) } else { physical }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(interfaces: &[(&str, &str, bool)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, of, device) in interfaces {
            let dir = root.path().join("sys/class/net").join(name);
            fs::create_dir_all(if *device { dir.join("device") } else { dir.clone() }).unwrap();
            fs::write(dir.join("type"), format!("{of}\n")).unwrap();
        }
        root
    }

    #[test]
    fn traffic_is_counted_where_it_leaves_the_machine() {
        let host = [
            ("lo", LOOPBACK, false),
            ("eth0", "1", true),
            ("wlan0", "1", true),
            ("docker0", "1", false),
            ("wg0", "65534", false),
        ];
        let root = tree(&host);
        assert_eq!(
            counted(root.path(), &["lo", "docker0", "eth0", "wg0", "wlan0"]),
            ["eth0", "wlan0"]
        );
    }

    #[test]
    fn a_container_has_only_virtual_interfaces_and_they_count() {
        let root = tree(&[("lo", LOOPBACK, false), ("eth0", "1", false)]);
        assert_eq!(counted(root.path(), &["eth0", "lo"]), ["eth0"]);
        assert!(counted(root.path(), &["lo"]).is_empty());
    }

    #[test]
    fn where_nothing_says_what_an_interface_is_it_counts() {
        let root = tree(&[]);
        assert_eq!(counted(root.path(), &["en0"]), ["en0"]);
    }
}
