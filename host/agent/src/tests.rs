//! The agent against a service that checks its signatures and its sequence numbers.

mod service;

use std::{collections::HashSet, net::IpAddr, time::Duration};

use lucid_client::Credential;
use lucid_model::fleet::node::PublicKey;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::service::{NODE, Service};
use crate::{
    AgentConfig, AgentError, AgentEvent, AgentStatus, CredentialFile, Health, check_interval, run,
    status,
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    shutdown: CancellationToken,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    task: JoinHandle<Result<(), AgentError>>,
}

fn config(service: &Service, dir: &TempDir) -> AgentConfig {
    AgentConfig {
        interval: Duration::from_millis(20),
        session_length: Duration::from_millis(100),
        credential: Some(Credential::Bearer("owner".into())),
        retry_min: Duration::from_millis(10),
        retry_max: Duration::from_millis(50),
        backlog_pause: Duration::from_millis(10),
        ..AgentConfig::new(service.url(), IpAddr::from([192, 0, 2, 1]), 9000, dir.path())
    }
}

fn start(config: AgentConfig) -> Running {
    let (sender, events) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(config, shutdown.clone(), move |event| {
        let _ = sender.send(event);
    }));
    Running { shutdown, events, task }
}

impl Running {
    /// Waits for an event that something can be said of.
    async fn wait<T>(&mut self, find: impl Fn(&AgentEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the agent ended");
                if let Some(found) = find(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event never came")
    }
    async fn reported(&mut self, count: u64) {
        let mut sum = 0;
        while sum < count {
            sum += self
                .wait(|event| {
                    if let AgentEvent::Reported { samples } = event {
                        Some(u64::from(*samples))
                    } else {
                        None
                    }
                })
                .await;
        }
    }
    async fn offline(&mut self) {
        self.wait(|event| matches!(event, AgentEvent::Offline { .. }).then_some(())).await;
    }
    async fn back_online(&mut self) -> u64 {
        self.wait(|event| {
            if let AgentEvent::BackOnline { spooled } = event { Some(*spooled) } else { None }
        })
        .await
    }
    async fn end(self) -> Result<(), AgentError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the agent did not end").unwrap()
    }
    async fn stop(self) {
        self.shutdown.cancel();
        self.end().await.unwrap();
    }
    /// As a crash would: between any two steps.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Waits until the agent's directory holds this many samples.
async fn spooled(dir: &TempDir, count: usize) {
    let lines = || {
        let Ok(files) = std::fs::read_dir(dir.path().join("spool")) else { return 0 };
        files
            .map(|file| {
                std::fs::read_to_string(file.unwrap().path()).unwrap_or_default().lines().count()
            })
            .sum::<usize>()
    };
    let enough = async {
        while lines() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("samples are not spooled");
}

fn assert_every_sample_came_once(service: &Service) {
    let seen = service.seen();
    assert_eq!(seen.violations, Vec::<String>::new());
    assert_eq!(
        seen.samples.iter().collect::<HashSet<_>>().len(),
        seen.samples.len(),
        "a sample came twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_registers_once_and_its_reports_are_signed() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    let registered =
        agent
            .wait(|event| {
                if let AgentEvent::Registered { node_id } = event { Some(*node_id) } else { None }
            })
            .await;
    assert_eq!(registered, NODE);
    let accepted = agent
        .wait(|event| {
            if let AgentEvent::Observed { accepted, .. } = event { Some(*accepted) } else { None }
        })
        .await;
    assert_eq!(accepted, 1);
    agent.reported(10).await;
    agent.stop().await;
    let mut agent = start(AgentConfig { credential: None, ..config(&service, &dir) });
    agent.reported(2).await;
    agent.stop().await;
    assert_every_sample_came_once(&service);
    let seen = service.seen();
    assert_eq!((seen.registrations, seen.logins), (1, 2));
    let ids: HashSet<_> = seen.sessions.iter().map(|(id, _)| id).collect();
    assert!(
        ids.len() > 1 && ids.len() < seen.sessions.len(),
        "sessions grow, and are followed by others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_node_reports_and_observes_nothing_until_it_is_active() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    service.seen().status = "pending";
    let mut agent = start(config(&service, &dir));
    let status = |event: &AgentEvent| {
        if let AgentEvent::StatusChanged { status } = event { Some(status.clone()) } else { None }
    };
    assert_eq!(agent.wait(status).await, "pending");
    agent.reported(3).await;
    assert!(service.seen().sessions.is_empty());
    service.seen().status = "active";
    assert_eq!(agent.wait(status).await, "active");
    agent.wait(|event| matches!(event, AgentEvent::Observed { .. }).then_some(())).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_nothing_and_sends_nothing_twice() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    service.set_up(false);
    agent.offline().await;
    spooled(&dir, 10).await;
    let before = u64::try_from(service.seen().samples.len()).unwrap();
    service.set_up(true);
    let waiting = agent.back_online().await;
    assert!(waiting > 10, "{waiting} with the one that was under way");
    agent.reported(waiting).await;
    agent.stop().await;
    assert!(u64::try_from(service.seen().samples.len()).unwrap() >= before + waiting);
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_between_decides_no_reports_fate() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(1).await;
    for status in [302, 200, 413, 400, 403, 404, 409, 422] {
        service.seen().proxy = Some(status);
        agent.offline().await;
        spooled(&dir, 2).await;
        service.seen().proxy = None;
        assert!(agent.back_online().await > 0, "{status}");
    }
    agent.stop().await;
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_answer_is_lost_is_sent_again_as_it_was() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    service.seen().swallow = true;
    service.swallowed.notified().await;
    service.set_up(false);
    agent.offline().await;
    service.set_up(true);
    agent.back_online().await;
    agent.reported(2).await;
    agent.stop().await;
    assert_eq!(service.seen().repeated, 1);
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_an_outage_sends_what_it_had_when_it_runs_again() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    service.seen().swallow = true;
    service.swallowed.notified().await;
    service.set_up(false);
    agent.offline().await;
    spooled(&dir, 5).await;
    agent.kill().await;
    let before = service.seen().samples.len();
    service.set_up(true);
    let mut agent = start(config(&service, &dir));
    agent.reported(8).await;
    agent.stop().await;
    assert_every_sample_came_once(&service);
    let seen = service.seen();
    assert!(seen.samples.len() >= before + 5);
    assert_eq!((seen.repeated, seen.registrations), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_moment_never_uses_a_number_twice() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    for _ in 0..5 {
        let mut agent = start(config(&service, &dir));
        agent.reported(2).await;
        agent.kill().await;
    }
    assert_eq!(service.seen().registrations, 1);
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_numbers_are_behind_continues_after_the_services() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    service.seen().highest = 5000;
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    agent.stop().await;
    assert_eq!(service.seen().reports.keys().next(), Some(&5001));
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_longer_taken_is_replaced() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(1).await;
    service.revoke_tokens();
    agent.reported(3).await;
    agent.stop().await;
    assert_eq!(service.seen().logins, 2);
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_a_service_that_is_not_there_yet() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    service.set_up(false);
    let mut agent = start(config(&service, &dir));
    agent.offline().await;
    service.set_up(true);
    agent.reported(1).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_register_says_why() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let stranger = start(AgentConfig { credential: None, ..config(&service, &dir) });
    assert!(
        matches!(stranger.end().await, Err(AgentError::RegistrationRefused { message }) if message.contains("not authenticated"))
    );
    service.seen().taken = true;
    let second = start(config(&service, &dir));
    assert!(matches!(second.end().await, Err(AgentError::AlreadyRegistered { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_token_is_read_once_and_may_be_gone_then() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("owner.token");
    let with_file = || AgentConfig {
        credential: None,
        credential_file: Some(CredentialFile::Owner(file.clone())),
        ..config(&service, &dir)
    };
    let problem = start(with_file()).end().await.unwrap_err().to_string();
    assert!(
        problem.contains("owner.token") && problem.contains("until the node is registered"),
        "{problem}"
    );
    std::fs::write(&file, "\n").unwrap();
    assert!(start(with_file()).end().await.unwrap_err().to_string().ends_with("it is empty"));
    std::fs::write(&file, "owner\n").unwrap();
    let mut agent = start(with_file());
    agent.reported(1).await;
    agent.stop().await;
    std::fs::remove_file(&file).unwrap();
    let mut agent = start(with_file());
    agent.reported(1).await;
    agent.stop().await;
    assert_eq!(service.seen().registrations, 1);
}

#[test]
fn an_interval_that_does_not_suit_the_service_is_refused_by_name() {
    for seconds in [1, 30, 60] {
        assert_eq!(
            check_interval(Duration::from_secs(seconds)).unwrap(),
            Duration::from_secs(seconds)
        );
    }
    for (interval, told) in [
        (Duration::ZERO, "0ns"),
        (Duration::from_millis(999), "999ms"),
        (Duration::from_secs(600), "600s"),
    ] {
        let problem = check_interval(interval).unwrap_err().to_string();
        assert!(
            problem.starts_with(&format!("interval {told} is outside 1 to 60 seconds")),
            "{problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_another_key_does_not_lose_its_samples() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(1).await;
    let key = service.seen().key.replace(PublicKey([0; 32]));
    service.revoke_tokens();
    agent.offline().await;
    service.seen().key = key;
    assert!(agent.back_online().await > 0);
    agent.stop().await;
    assert_every_sample_came_once(&service);
}

/// Waits until the status of the agent's directory says something.
async fn status_says(dir: &TempDir, what: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
    let found = async {
        loop {
            if let Ok((status, _)) = status(dir.path())
                && what(&status)
            {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the status never said so")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_follows_what_happens_and_stays_when_the_agent_is_gone() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(3).await;
    let fine =
        status_says(&dir, |status| status.node_status.is_some() && status.last_accepted.is_some())
            .await;
    assert_eq!(
        (fine.node_id.as_deref(), fine.node_status.as_deref()),
        (Some(NODE.to_string().as_str()), Some("active"))
    );
    // The stand-in's clock is ten minutes ahead.
    assert!(
        fine.clock_offset_ms.is_some_and(|offset| (599_000..=601_000).contains(&offset)),
        "{fine:?}"
    );
    service.set_up(false);
    agent.offline().await;
    let offline =
        status_says(&dir, |status| status.offline_since.is_some() && status.spool.samples >= 3)
            .await;
    assert!(
        offline.spool.oldest_at.is_some()
            && offline.spool.bytes > 0
            && offline.last_error.is_some()
    );
    assert!(status(dir.path()).unwrap().1, "it runs");
    agent.kill().await;
    // What a task that was aborted had begun on the disk, it ends.
    while status(dir.path()).unwrap().1 {
        tokio::task::yield_now().await;
    }
    let (left, is_running) = status(dir.path()).unwrap();
    assert!(left.spool.samples >= 3);
    assert_eq!(left.health(is_running, crate::now()), Health::NotRunning);
    service.set_up(true);
    let mut agent = start(config(&service, &dir));
    agent.reported(left.spool.samples).await;
    status_says(&dir, |status| status.offline_since.is_none() && status.spool.samples == 0).await;
    agent.stop().await;
    assert_every_sample_came_once(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_asks_for_patience_gets_it_and_then_everything() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    service.seen().busy = true;
    agent.offline().await;
    let asked = std::time::Instant::now();
    service.seen().busy = false;
    spooled(&dir, 3).await;
    agent.back_online().await;
    assert!(asked.elapsed() > Duration::from_millis(900), "{:?} of one second", asked.elapsed());
    agent.reported(3).await;
    agent.stop().await;
    assert_every_sample_came_once(&service);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_of_and_stops_neither_measuring_nor_reporting() {
    let (service, dir) = (Service::start().await, tempfile::tempdir().unwrap());
    let mut agent = start(config(&service, &dir));
    agent.reported(2).await;
    // The kernel's own full disk, in the place of the file that a report is written to before it is
    // sent.
    let full = dir.path().join("pending.json.new");
    while std::os::unix::fs::symlink("/dev/full", &full).is_err() {
        tokio::task::yield_now().await;
    }
    let reason = agent
        .wait(|event| {
            if let AgentEvent::DiskFailing { reason } = event { Some(reason.clone()) } else { None }
        })
        .await;
    assert!(reason.contains("No space left"), "{reason}");
    agent.reported(3).await;
    assert!(status_says(&dir, |status| status.disk_trouble.is_some()).await.dropped_samples == 0);
    std::fs::remove_file(&full).unwrap();
    agent.wait(|event| (*event == AgentEvent::DiskRecovered).then_some(())).await;
    agent.reported(2).await;
    agent.stop().await;
    assert_every_sample_came_once(&service);
}
