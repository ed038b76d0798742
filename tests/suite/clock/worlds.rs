//! Worlds in which somebody plays with the clocks of a machine (`CLOCK_WORLDS=1000` plays more).

use std::sync::{Arc, atomic::Ordering};

use lucid_model::clock::ClockMark;
use lucid_ports::Clock;
use lucid_service::{Actor, CLOCK_DOUBTED, Ports};

use super::{Clocks, HOUR_MS, World, due, is_raised, work};
use crate::support::block_on;
use lucid_testkit::fleet;

/// Somebody plays with the clocks of a machine, restarts its service and reboots it: no epoch is
/// ever closed, and no period settled, before it is over by the true time, and everything is caught
/// up once the clock is right.
#[test]
fn whatever_happens_to_the_wall_clock_nothing_is_closed_before_it_is_over() {
    let seeds = std::env::var("CLOCK_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let engine = World::new();
    let shared = fleet::ports(&engine.store, engine.cache.path(), due(1), 1);
    let (mut doubted, mut closed) = (0_u64, 0_u64);
    for seed in 0..seeds {
        let (world, clocks, mut chance) =
            (World::new(), Clocks::at(due(1)), fleet::Chance::of(seed));
        // How far the wall clock is from the true time, and which start of the machine it is.
        let (mut off_ms, mut boot) = (0_i64, 0_u32);
        let start = |mark: Option<&ClockMark>, boot: u32| {
            let ports = Ports {
                store: Arc::clone(&world.store),
                policies: Arc::clone(&shared.policies),
                chain: None,
                rail: None,
                webhooks: Arc::clone(&shared.webhooks),
                signer: Arc::clone(&shared.signer),
                sealer: Arc::clone(&shared.sealer),
                clock: Arc::clone(&clocks) as Arc<dyn Clock>,
                entropy: Arc::clone(&shared.entropy),
                challenge_key: shared.challenge_key.clone(),
                used_once: Arc::clone(&shared.used_once),
            };
            block_on(async {
                let service = fleet::service_on(ports, fleet::config(1)).await;
                service.watch_clock(&boot.to_string(), mark).await.unwrap();
                service
            })
        };
        let mut service = start(None, boot);
        let mut mark = service.clock.mark(&boot.to_string());
        for _ in 0..40 {
            match chance.below(9) {
                // Somebody sets it.
                0 => {
                    let by_ms = [60_000, HOUR_MS, 2 * HOUR_MS, 48 * HOUR_MS, 900 * 24 * HOUR_MS]
                        [chance.below(5) as usize];
                    let by_ms = if chance.below(2) == 0 { by_ms } else { -by_ms };
                    clocks.moved(by_ms);
                    off_ms += by_ms;
                }
                // NTP sets it right.
                1 | 2 => {
                    clocks.moved(-off_ms);
                    off_ms = 0;
                }
                3 => service = start(mark.as_ref(), boot),
                4 if off_ms == 0 => {
                    boot += 1;
                    clocks.steady_ms.store(100, Ordering::SeqCst);
                    clocks.pass(i64::try_from(chance.below(3_000_000)).unwrap());
                    service = start(mark.as_ref(), boot);
                }
                // The machine is paused: both clocks stand still, then NTP sets the one.
                5 if off_ms == 0 && !is_raised(&service, CLOCK_DOUBTED) => clocks.moved(1_834_567),
                6 if off_ms == 0 => {
                    drop(block_on(service.accept_clock(&Actor::file(), "it is right")))
                }
                _ => clocks.pass(i64::try_from(chance.below(2_000_000)).unwrap()),
            }
            closed += work(&service).0 as u64;
            doubted += u64::from(is_raised(&service, CLOCK_DOUBTED));
            mark = service.clock.mark(&boot.to_string()).or(mark);
            let now = clocks.now().plus_ms(-off_ms);
            let last = block_on(world.store.last_epoch()).unwrap().unwrap();
            assert!(
                last.epoch.end() <= now,
                "seed {seed}: epoch {} was closed at {now}",
                last.epoch
            );
            let settled = block_on(world.store.last_settlement()).unwrap();
            assert!(settled.is_none_or(|settled| settled.period.end() <= now), "seed {seed}");
            assert!(
                off_ms == 0 || is_raised(&service, CLOCK_DOUBTED),
                "seed {seed}: off by {off_ms} ms, and nobody is told"
            );
            assert!(
                service.clock.now() <= now.plus_ms(10_000),
                "seed {seed}: the service is ahead of the time"
            );
        }
        clocks.moved(-off_ms);
        work(&service);
        if is_raised(&service, CLOCK_DOUBTED) {
            block_on(service.accept_clock(&Actor::file(), "it is right")).unwrap();
        }
        work(&service);
        let last = block_on(world.store.last_epoch()).unwrap().unwrap();
        assert!(
            clocks.now().ms_since(last.epoch.end()) < 2 * HOUR_MS,
            "seed {seed}: everything is caught up"
        );
        assert!(!is_raised(&service, CLOCK_DOUBTED), "seed {seed}");
    }
    println!("{seeds} worlds: {closed} epochs closed, the clock in doubt at {doubted} looks");
    assert!(closed > seeds && doubted > seeds);
}
