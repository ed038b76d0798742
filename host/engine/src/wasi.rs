//! An empty WASI, for guests of languages whose tools insist on one.
//!
//! No file, no environment, no argument, no network; a clock that stands at the start of the epoch
//! and never moves, randomness that follows from the seed, and an output that is the policy's log.
//! It is written here rather than taken from `wasmtime-wasi`, whose every call could do more: what
//! is not linked cannot be reached. What needs a file or a socket ends the call when it is called,
//! as the policy's fault.

use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
        types::ComponentItem,
    },
};

use crate::guest::{GuestState, LogLevel};

/// What a policy may import of WASI, as it is told to authors.
pub const OFFERED: &str = "an empty wasi 0.2";
const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
/// Bytes of one write that are taken at once.
const WRITE_BYTES_MAX: u64 = 4_096;
/// Bytes of one request for randomness.
const RANDOM_BYTES_MAX: u64 = 65_536;
const NANOSECONDS: u64 = 1_000_000_000;

/// Whether an import is of this WASI.
pub fn is_offered(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    version.starts_with("0.2.") && PACKAGES.iter().any(|package| interface.starts_with(package))
}

/// When and with which seed a call is made: all that is the case in a guest's world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// Start of the epoch, Unix seconds.
    pub unix_s: i64,
    /// The calculation's seed.
    pub seed: u64,
}

impl Moment {
    fn seconds(self) -> u64 {
        u64::try_from(self.unix_s).unwrap_or_default()
    }
}

/// SplitMix64: the same bytes from the same seed everywhere.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

struct IoError;
struct Pollable;
struct InputStream;
struct OutputStream;
struct TerminalInput;
struct TerminalOutput;
struct Descriptor;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Guest<'a> = StoreContextMut<'a, GuestState>;
type Streamed<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// A linker for one component: `base`, and under the names it imports whatever is offered of WASI.
///
/// # Errors
/// Wasmtime's, for an import that cannot be given.
pub fn linker_for(
    base: &Linker<GuestState>,
    component: &Component,
) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = base.clone();
    let (component_type, engine) = (component.component_type(), component.engine());
    let mut any = false;
    for (name, item) in component_type.imports(engine).filter(|(name, _)| is_offered(name)) {
        any = true;
        let mut instance = linker.instance(name)?;
        if let ComponentItem::ComponentInstance(imported) = &item.ty {
            // Where an interface uses a resource of another, it has it too, under the same name.
            for (resource, _) in imported
                .exports(engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::Resource(_)))
            {
                instance.resource(resource, resource_type(resource), |_, _| Ok(()))?;
            }
        }
        offer(name.split_once('@').map_or(name, |(interface, _)| interface), &mut instance)?;
    }
    if any {
        linker.define_unknown_imports_as_traps(component)?;
    }
    Ok(linker)
}

/// A resource that no function here hands out is like any other such.
fn resource_type(name: &str) -> ResourceType {
    match name {
        "error" => ResourceType::host::<IoError>(),
        "pollable" => ResourceType::host::<Pollable>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        _ => ResourceType::host::<()>(),
    }
}

fn offer(interface: &str, linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    match interface {
        "wasi:io/poll" => poll(linker),
        "wasi:io/streams" => streams(linker),
        "wasi:cli/environment" => environment(linker),
        "wasi:cli/stdin" => linker
            .func_wrap("get-stdin", |_: Guest<'_>, ()| Ok((Resource::<InputStream>::new_own(0),))),
        "wasi:cli/stdout" => linker.func_wrap("get-stdout", |_: Guest<'_>, ()| {
            Ok((Resource::<OutputStream>::new_own(0),))
        }),
        "wasi:cli/stderr" => linker.func_wrap("get-stderr", |_: Guest<'_>, ()| {
            Ok((Resource::<OutputStream>::new_own(0),))
        }),
        "wasi:cli/terminal-stdin" => linker.func_wrap("get-terminal-stdin", |_: Guest<'_>, ()| {
            Ok((None::<Resource<TerminalInput>>,))
        }),
        "wasi:cli/terminal-stdout" => linker
            .func_wrap("get-terminal-stdout", |_: Guest<'_>, ()| {
                Ok((None::<Resource<TerminalOutput>>,))
            }),
        "wasi:cli/terminal-stderr" => linker
            .func_wrap("get-terminal-stderr", |_: Guest<'_>, ()| {
                Ok((None::<Resource<TerminalOutput>>,))
            }),
        "wasi:clocks/wall-clock" => wall_clock(linker),
        "wasi:clocks/monotonic-clock" => monotonic_clock(linker),
        "wasi:random/random" => random(linker, "get-random-bytes", "get-random-u64"),
        "wasi:random/insecure" => {
            random(linker, "get-insecure-random-bytes", "get-insecure-random-u64")
        }
        "wasi:random/insecure-seed" => linker
            .func_wrap("insecure-seed", |mut guest: Guest<'_>, ()| {
                Ok(((next(&mut guest), next(&mut guest)),))
            }),
        "wasi:filesystem/preopens" => linker.func_wrap("get-directories", |_: Guest<'_>, ()| {
            Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
        }),
        _ => Ok(()),
    }
}

fn environment(linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    linker
        .func_wrap("get-environment", |_: Guest<'_>, ()| Ok((Vec::<(String, String)>::new(),)))?;
    linker.func_wrap("get-arguments", |_: Guest<'_>, ()| Ok((Vec::<String>::new(),)))?;
    linker.func_wrap("initial-cwd", |_: Guest<'_>, ()| Ok((None::<String>,)))
}

/// Nothing is ever waited for: whatever could happen has happened.
fn poll(linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap("[method]pollable.ready", |_: Guest<'_>, (_,): (Resource<Pollable>,)| {
        Ok((true,))
    })?;
    linker
        .func_wrap("[method]pollable.block", |_: Guest<'_>, (_,): (Resource<Pollable>,)| Ok(()))?;
    linker.func_wrap("poll", |_: Guest<'_>, (waiting,): (Vec<Resource<Pollable>>,)| {
        Ok(((0_u32..).zip(waiting).map(|(place, _)| place).collect::<Vec<_>>(),))
    })
}

/// Nothing to read; what is written is a line of the log.
fn streams(linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        linker.func_wrap(
            name,
            |_: Guest<'_>, (_, _): (Resource<InputStream>, u64)| -> Streamed<Vec<u8>> {
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    linker.func_wrap(
        "[method]input-stream.subscribe",
        |_: Guest<'_>, (_,): (Resource<InputStream>,)| Ok((Resource::<Pollable>::new_own(0),)),
    )?;
    linker.func_wrap(
        "[method]output-stream.check-write",
        |_: Guest<'_>, (_,): (Resource<OutputStream>,)| -> Streamed<u64> {
            Ok((Ok(WRITE_BYTES_MAX),))
        },
    )?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        linker.func_wrap(
            name,
            |guest: Guest<'_>, (_, bytes): (Resource<OutputStream>, Vec<u8>)| -> Streamed<()> {
                GuestState::write_log(
                    guest,
                    LogLevel::Info,
                    String::from_utf8_lossy(&bytes).trim_end(),
                )?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        linker
            .func_wrap(name, |_: Guest<'_>, (_,): (Resource<OutputStream>,)| -> Streamed<()> {
                Ok((Ok(()),))
            })?;
    }
    linker.func_wrap(
        "[method]output-stream.subscribe",
        |_: Guest<'_>, (_,): (Resource<OutputStream>,)| Ok((Resource::<Pollable>::new_own(0),)),
    )
}

fn wall_clock(linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap("now", |guest: Guest<'_>, ()| {
        Ok((Datetime { seconds: guest.data().moment.seconds(), nanoseconds: 0 },))
    })?;
    linker
        .func_wrap("resolution", |_: Guest<'_>, ()| Ok((Datetime { seconds: 1, nanoseconds: 0 },)))
}

fn monotonic_clock(linker: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap("now", |guest: Guest<'_>, ()| {
        Ok((guest.data().moment.seconds().saturating_mul(NANOSECONDS),))
    })?;
    linker.func_wrap("resolution", |_: Guest<'_>, ()| Ok((NANOSECONDS,)))?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        linker.func_wrap(name, |_: Guest<'_>, (_,): (u64,)| {
            Ok((Resource::<Pollable>::new_own(0),))
        })?;
    }
    Ok(())
}

fn random(
    linker: &mut LinkerInstance<'_, GuestState>,
    bytes: &str,
    whole: &str,
) -> wasmtime::Result<()> {
    linker.func_wrap(bytes, |mut guest: Guest<'_>, (length,): (u64,)| {
        if length > RANDOM_BYTES_MAX {
            return Err(wasmtime::format_err!(
                "asked for {length} random bytes, more than {RANDOM_BYTES_MAX}"
            ));
        }
        GuestState::charge(&mut guest, length)?;
        let length = usize::try_from(length).unwrap_or_default();
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| next(&mut guest).to_le_bytes()).collect();
        bytes.truncate(length);
        Ok((bytes,))
    })?;
    linker.func_wrap(whole, |mut guest: Guest<'_>, ()| Ok((next(&mut guest),)))
}

fn next(guest: &mut Guest<'_>) -> u64 {
    guest.data_mut().random.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_packages_of_an_empty_world_are_offered() {
        for offered in
            ["wasi:cli/environment@0.2.0", "wasi:io/streams@0.2.6", "wasi:filesystem/types@0.2.3"]
        {
            assert!(is_offered(offered), "{offered}");
        }
        for other in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "wasi:keyvalue/store@0.2.0",
            "wasix:cli/x@0.2.0",
        ] {
            assert!(!is_offered(other), "{other}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let three = |seed| {
            let mut random = Random(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(three(1), three(1));
        assert_ne!(three(1), three(2));
    }
}
