//! Five factors, weighted: observation time, session quality, uptime, resource efficiency, network performance.
//!
//! The multiplier is the sum of weight × value, every value between 0 and 1, so it never exceeds the sum of the
//! weights, which never exceeds one.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Credited seconds.
        observed: Seconds = "observed-s",
        /// Length of the epoch.
        period: Seconds = "period-s",
        /// Session quality as observers reported it.
        quality: Ppm = "quality-ppm",
        /// Part of the epoch in which the node reported.
        uptime: Ppm = "uptime-ppm",
        /// Mean CPU usage.
        cpu: Ppm = "cpu-ppm",
        /// Mean memory usage.
        memory: Ppm = "memory-ppm",
        /// Mean disk usage.
        disk: Ppm = "disk-ppm",
        /// Traffic as observers reported it.
        network: Bytes = "network-bytes",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Weight of the credited part of the epoch.
        observation_time: Ppm = "observation-time-weight", default 400_000, in 0..=1_000_000;
        /// Weight of the session quality.
        session_quality: Ppm = "session-quality-weight", default 200_000, in 0..=1_000_000;
        /// Weight of the uptime.
        uptime: Ppm = "uptime-weight", default 200_000, in 0..=1_000_000;
        /// Weight of the free capacity.
        resource_efficiency: Ppm = "resource-efficiency-weight", default 100_000, in 0..=1_000_000;
        /// Weight of the traffic.
        network_performance: Ppm = "network-performance-weight", default 100_000, in 0..=1_000_000;
        /// Mean load of CPU, memory and disk up to which the resource factor is full; it falls to zero at full load.
        comfortable_load: Ppm = "comfortable-load", default 800_000, in 0..=1_000_000;
        /// Traffic in an epoch from which the network factor is full.
        network_target: Bytes = "network-target-bytes", default 1_000_000_000, in 1..=1_000_000_000_000_000;
    }
}

/// The weights sum to more than one.
pub const WEIGHTS_TOO_LARGE: u32 = 1;

/// The default scoring policy.
pub struct ObservationWeighted;

impl Scoring for ObservationWeighted {
    type Node = Node;
    type Params = Settings;

    fn check(settings: &Settings) -> Result<(), PolicyError> {
        let sum = settings
            .observation_time
            .saturating_add(settings.session_quality)
            .saturating_add(settings.uptime)
            .saturating_add(settings.resource_efficiency)
            .saturating_add(settings.network_performance);
        if sum > Ppm::ONE {
            return Err(PolicyError::new(WEIGHTS_TOO_LARGE, format!("the weights sum to {sum} ppm, more than one")));
        }
        Ok(())
    }

    #[inline]
    fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
        let [observation_time, session_quality, uptime, resource_efficiency, network_performance] = parts(&ctx.params, node);
        let sum = observation_time.saturating_add(session_quality).saturating_add(uptime);
        Ok(Score::new(sum.saturating_add(resource_efficiency).saturating_add(network_performance)))
    }

    fn explain(ctx: &Context<Settings, Node>, node: &Node) -> Result<Vec<Contribution>, PolicyError> {
        let [observation_time, session_quality, uptime, resource_efficiency, network_performance] = parts(&ctx.params, node);
        Ok(vec![
            (factor::OBSERVATION_TIME, observation_time),
            (factor::SESSION_QUALITY, session_quality),
            (factor::UPTIME, uptime),
            (factor::RESOURCE_EFFICIENCY, resource_efficiency),
            (factor::NETWORK_PERFORMANCE, network_performance),
        ])
    }
}

/// Weight × value of each factor, in the order of the params.
#[inline(always)]
fn parts(settings: &Settings, node: &Node) -> [Ppm; 5] {
    [
        settings.observation_time.mul_ppm_floor(node.observed.share_floor(node.period)),
        settings.session_quality.mul_ppm_floor(node.quality),
        settings.uptime.mul_ppm_floor(node.uptime),
        settings.resource_efficiency.mul_ppm_floor(efficiency(settings, node)),
        settings.network_performance.mul_ppm_floor(node.network.share_floor(settings.network_target)),
    ]
}

/// One up to the comfortable load, then falling in a straight line to nothing at full load: a node that idles is
/// as good as one that works, one that is about to choke is not.
#[inline(always)]
fn efficiency(settings: &Settings, node: &Node) -> Ppm {
    let load = Ppm::new(node.cpu.saturating_add(node.memory).saturating_add(node.disk).get() / 3);
    if load <= settings.comfortable_load {
        return Ppm::ONE;
    }
    Ppm::ONE.saturating_sub(load).share_floor(Ppm::ONE.saturating_sub(settings.comfortable_load))
}

lucid_policy_sdk::scoring!(ObservationWeighted);

#[cfg(test)]
mod tests {
    use super::*;

    fn full_node() -> native::Call {
        native::Call::new()
            .column("observed-s", [3_600])
            .column("period-s", [3_600])
            .column("quality-ppm", [1_000_000])
            .column("uptime-ppm", [1_000_000])
            .column("cpu-ppm", [500_000])
            .column("memory-ppm", [500_000])
            .column("disk-ppm", [500_000])
            .column("network-bytes", [1_000_000_000])
    }

    #[test]
    fn golden_cases_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
        assert!(golden::scoring::<ObservationWeighted>(folder).unwrap() >= 4);
    }

    #[test]
    fn a_perfect_node_gets_exactly_one() {
        assert_eq!(full_node().score::<ObservationWeighted>().unwrap().multipliers, [1_000_000]);
    }

    #[test]
    fn the_contributions_sum_to_the_multiplier() {
        let call = full_node().column("observed-s", [1_234]).column("cpu-ppm", [999_999]).column("memory-ppm", [987_654]);
        let explained = call.explain::<ObservationWeighted>().unwrap();
        let sum: u32 = explained.contributions.iter().flatten().sum();
        assert_eq!(call.score::<ObservationWeighted>().unwrap().multipliers, [sum]);
        assert_eq!(explained.names.len(), 5);
    }

    #[test]
    fn efficiency_falls_only_beyond_the_comfortable_load() {
        let at = |load: i64| {
            let node = Node { cpu: Ppm::new(load), memory: Ppm::new(load), disk: Ppm::new(load), ..Node::default() };
            efficiency(&Settings::default(), &node).get()
        };
        assert_eq!([at(0), at(800_000), at(900_000), at(1_000_000)], [1_000_000, 1_000_000, 500_000, 0]);
    }

    #[test]
    fn a_comfortable_load_of_one_never_divides_by_nothing() {
        let busy = full_node().column("cpu-ppm", [1_000_000]).column("memory-ppm", [1_000_000]).column("disk-ppm", [1_000_000]);
        let scores = busy.param("comfortable-load", 1_000_000).score::<ObservationWeighted>().unwrap();
        assert_eq!(scores.multipliers, [1_000_000]);
    }
}
