//! Everything that runs by itself: each task has a name and an owner, and stops when told.

mod supervision;

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lucid_api::Api;
use lucid_ports::{Coordinator, HeldLease};
use lucid_service::{PAYER, Pulse, STORE, Service, ServiceError};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    announcements::{Announced, announce},
    clock::{self, ClockKeeper, ClockNotes},
    config::Config,
    import::Importer,
    leases::{Ended, while_held},
    measurements::Surroundings,
    replicas,
    secrets::watched::{self, SecretFiles},
    watchdog, webhooks,
};
use supervision::{Death, Held, RETRY_MAX, repeat, until_told};

/// Between two looks for work that nobody announced: its time came, or the replica that would have
/// said so ended.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same for payments, whose next tries and looks at the rail are closer together, and for
/// epochs, which the store is not asked for before one can be due.
const SHORT_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two measurements of how it stands with money: what Prometheus asks for is as old at
/// most.
const STANDING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a task may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two looks for parties that rate limits need not remember any more.
const FORGET_INTERVAL: Duration = Duration::from_secs(10);
/// Between two times that measured durations are counted into their buckets: until then each is
/// kept, also where nobody asks for metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks for nodes that other replicas brought to life: if those end, somebody has to
/// notice silence.
const FLEET_INTERVAL: Duration = Duration::from_secs(60);
/// Between two looks for hours that are to be rolled up, and for what is too old to be kept.
const ROLL_UP_INTERVAL: Duration = Duration::from_secs(30);
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
/// Between two comparisons of what ended with the payment service, and between two verifications of
/// all books.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(15);
const VERIFY_INTERVAL: Duration = Duration::from_secs(3_600);
/// Between two looks at what pools say of alerts about their members, and at who those are.
const THRESHOLDS_INTERVAL: Duration = Duration::from_secs(10);
/// How long a step may take beside its interval before its task counts as one that hangs: of what
/// each replica does for itself, and of what one does for all, where a step may wait for a slow
/// payment service many times.
const STEP_TIME_MAX: Duration = Duration::from_secs(30);
const LONG_STEP_TIME_MAX: Duration = Duration::from_secs(1_800);
/// What the alert about the gateway's keys is about.
const GATEWAY_KEYS: &str = "gateway_keys";

/// The running tasks.
pub struct Tasks {
    stop: CancellationToken,
    death: Death,
    running: Vec<(&'static str, JoinHandle<()>)>,
    /// What wakes tasks before their next look.
    awaited: Vec<Announced>,
    service: Arc<Service>,
    coordinator: Arc<dyn Coordinator>,
    /// How long a lease lasts that is not renewed.
    lease: Duration,
}

impl Tasks {
    /// Starts everything the service does by itself.
    pub fn start(
        service: &Arc<Service>,
        api: &Arc<Api>,
        coordinator: &Arc<dyn Coordinator>,
        importer: Importer,
        files: &Arc<SecretFiles>,
        config: &Config,
    ) -> Self {
        let mut tasks = Self {
            stop: CancellationToken::new(),
            death: Death::default(),
            running: Vec::new(),
            awaited: Vec::new(),
            service: Arc::clone(service),
            coordinator: Arc::clone(coordinator),
            lease: Duration::from_millis(u64::from(config.coordination.lease_ms)),
        };
        tasks.watch_process(config);
        tasks.spawn("policies", importer.watch(tasks.stop.clone()));
        let (told, gate, stop) = (Arc::clone(service), Arc::clone(api), tasks.stop.clone());
        tasks.spawn(GATEWAY_KEYS, async move {
            let tell = |trouble: Option<&str>| match trouble {
                Some(trouble) => told.notifications.alert(GATEWAY_KEYS, trouble.to_owned()),
                None => told.notifications.clear_alert(GATEWAY_KEYS),
            };
            gate.auth.keep_gateway_keys(stop.clone(), tell).await;
            // Without a gateway there is nothing to keep.
            stop.cancelled().await;
        });
        tasks.periodic("limits", FORGET_INTERVAL, api, |a| async move {
            let left = a.limiter.forget_idle().await;
            metrics::gauge!("lucid_rate_limit_parties")
                .set(u32::try_from(left).map_or(f64::MAX, f64::from));
            Ok::<_, Infallible>(false)
        });
        tasks.periodic("secrets", watched::LOOK_INTERVAL, files, |files| files.step());
        tasks.periodic("metrics", UPKEEP_INTERVAL, api, |a| async move {
            a.metrics.run_upkeep();
            Ok::<_, Infallible>(false)
        });
        let (feed, events, stop) =
            (Arc::clone(api), service.notifications.bus().subscribe(), tasks.stop.clone());
        tasks.spawn("events", async move { feed.feed.follow(events, stop).await });
        tasks.join_replicas(api, config);
        let queued = Arc::new(Notify::new());
        let queue = webhooks::queue(
            Arc::clone(service),
            api.stream.clone(),
            service.notifications.bus().subscribe(),
            Arc::clone(&queued),
            tasks.stop.clone(),
        );
        tasks.spawn("webhook-outbox", queue);
        tasks.exclusive(
            "webhooks",
            (SHORT_LOOK_INTERVAL, queued),
            start_immediately,
            |s, _| async move { s.notifications.send_webhooks().await },
        );
        tasks.work_alone(config);
        let awaited = std::mem::take(&mut tasks.awaited);
        tasks.spawn("announcements", announce(Arc::clone(api), awaited, tasks.stop.clone()));
        let keeper =
            Arc::new(ClockKeeper::new(Arc::clone(service), ClockNotes::of(config.data_dir())));
        tasks.periodic("clock", clock::CHECK_INTERVAL, &keeper, |k| async move { k.step().await });
        tasks.periodic("liveness", Duration::from_secs(1), service, |s| async move {
            s.fleet.clear_clones().await?;
            s.fleet.sweep_silent().await.map(|_| false)
        });
        let surroundings =
            Arc::new(Surroundings::new(Arc::clone(service), config.data_dir().to_owned()));
        tasks.periodic("surroundings", STANDING_INTERVAL, &surroundings, |s| async move {
            s.measure().await
        });
        tasks.periodic("standing", STANDING_INTERVAL, service, |s| async move {
            s.money.watch_freeze().await?;
            s.money.follow_payout_alerts().await?;
            s.review.measure_standing().await.map(|()| false)
        });
        tasks.periodic("thresholds", THRESHOLDS_INTERVAL, service, |s| async move {
            s.fleet.learn_thresholds().await.map(|()| false)
        });
        tasks.periodic("suspensions", Duration::from_secs(5), service, |s| async move {
            s.fleet.lift_suspensions().await.map(|()| false)
        });
        tasks.periodic("requests", Duration::from_secs(60), service, |s| async move {
            Ok::<_, ServiceError>(
                s.audit.forget_requests().await?
                    | s.fleet.forget_enrolments().await?
                    | s.epochs.forget_on_demand().await?,
            )
        });
        tasks
    }

    /// Watches this process itself: its store, its log, its tasks.
    fn watch_process(&mut self, config: &Config) {
        watchdog::begin();
        let service = Arc::clone(&self.service);
        let free_bytes_min = config.store.free_min_mib << 20;
        self.periodic(STORE, watchdog::STORE_INTERVAL, &service, move |s| async move {
            s.watch_store(free_bytes_min).await;
            Ok::<_, Infallible>(false)
        });
        self.spawn("store-pages", watchdog::check_pages(Arc::clone(&service), self.stop.clone()));
        self.periodic("watchdog", watchdog::INTERVAL, &service, |s| async move {
            watchdog::look(&s);
            Ok::<_, Infallible>(false)
        });
    }

    /// Talks with the other replicas, if there may be some, and follows what they activate.
    fn join_replicas(&mut self, api: &Arc<Api>, config: &Config) {
        let policies = Arc::new(Notify::new());
        let poll = Duration::from_millis(u64::from(config.coordination.policies_poll_ms));
        self.spawn(
            "active-policies",
            replicas::follow_policies(
                Arc::clone(&self.service),
                Arc::clone(&policies),
                poll,
                self.stop.clone(),
            ),
        );
        if config.coordination.redis_url.is_none() {
            return;
        }
        let service = Arc::clone(&self.service);
        let closing = self.announced(&["epoch.closing"]);
        self.on_event("epoch-shards", (LOOK_INTERVAL, closing), &service, |s| async move {
            s.epochs.help_close().await.map(|scored| scored > 0)
        });
        self.periodic("fleet", FLEET_INTERVAL, &service, |s| async move {
            s.fleet.watch_fleet().await.map(|()| false)
        });
        let (coordinator, stop) = (Arc::clone(&self.coordinator), self.stop.clone());
        self.spawn(
            replicas::COORDINATION,
            replicas::watch(Arc::clone(&coordinator), service, stop.clone()),
        );
        self.spawn(
            "replicas-told",
            replicas::tell(Arc::clone(&coordinator), Arc::clone(api), stop.clone()),
        );
        self.spawn("replicas-heard", replicas::hear(coordinator, Arc::clone(api), policies, stop));
    }

    /// What one replica does for all.
    fn work_alone(&mut self, config: &Config) {
        let closed = self.announced(&["epoch.closed"]);
        let to_pay = self.announced(&["period.settled", "run.approved"]);
        let unannounced = || Arc::new(Notify::new());
        let (short_look, look) = (SHORT_LOOK_INTERVAL, LOOK_INTERVAL);
        self.exclusive(
            "epochs",
            (short_look, unannounced()),
            start_immediately,
            |s, _| async move { s.epochs.close_due_epoch().await.map(|closed| closed.is_some()) },
        );
        self.exclusive("votes", (look, closed), start_immediately, |s, _| async move {
            s.consensus.send_votes().await.map(|sent| sent > 0)
        });
        let closed = self.announced(&["epoch.closed"]);
        self.exclusive("settlement", (look, closed), start_immediately, |s, _| async move {
            s.money.settle_due_period().await.map(|settled| settled.is_some())
        });
        let recover = |s: Arc<Service>, tenure: HeldLease| async move {
            let recovered = s.money.recover_payouts(&tenure).await?;
            if recovered > 0 {
                tracing::warn!(recovered, "payouts were in flight when the payer before ended");
            }
            Ok(())
        };
        self.exclusive(PAYER, (short_look, to_pay), recover, |s, tenure| async move {
            let moved = s.money.pay_step(&tenure).await?;
            s.money.finish_runs().await?;
            s.money.plan_due_run(&tenure).await.map(|planned| planned.is_some() || moved > 0)
        });
        self.exclusive(
            "reconciliation",
            (RECONCILE_INTERVAL, unannounced()),
            start_immediately,
            |s, _| async move { s.money.reconcile_step().await },
        );
        self.exclusive(
            "books",
            (VERIFY_INTERVAL, unannounced()),
            start_immediately,
            |s, _| async move { s.money.verify_own_books().await.map(|_| false) },
        );
        let decided = self.announced(&["epoch.closed", "period.settled"]);
        self.exclusive("shadows", (look, decided), start_immediately, |s, _| async move {
            s.review.ask_shadows().await
        });
        self.exclusive("pools", (look, unannounced()), start_immediately, |s, _| async move {
            s.fleet.check_due_pools().await.map(|_| false)
        });
        self.exclusive(
            "rollups",
            (ROLL_UP_INTERVAL, unannounced()),
            start_immediately,
            |s, _| async move { s.telemetry.roll_up_due().await },
        );
        self.exclusive(
            "retention",
            (RETENTION_INTERVAL, unannounced()),
            start_immediately,
            |s, _| async move {
                Ok(s.fleet.forget_alerts().await?
                    | s.notifications.forget_deliveries().await?
                    | s.telemetry.forget_due_series(s.epochs.open_epoch().await?).await?)
            },
        );
        let sealing = Duration::from_secs(u64::from(config.audit.seal_interval_s));
        self.exclusive("audit", (sealing, unannounced()), start_immediately, |s, _| async move {
            s.audit.seal_audit().await.map(|_| false)
        });
    }

    /// Runs a task until it is told to stop. One that ends before ends the process: nobody would do
    /// what it does.
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.push((
            name,
            tokio::spawn(until_told(name, task, self.stop.clone(), self.death.clone())),
        ));
    }

    /// A task that ended by itself, if one does: the process ends with it.
    pub fn death(&self) -> Death {
        self.death.clone()
    }

    /// Repeats a step, see [`repeat`].
    fn periodic<T, S, F, E>(
        &mut self,
        name: &'static str,
        interval: Duration,
        part: &Arc<T>,
        step: S,
    ) where
        T: Send + Sync + 'static,
        S: Fn(Arc<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<bool, E>> + Send,
        E: std::fmt::Display + Send,
    {
        self.on_event(name, (interval, Arc::default()), part, step);
    }

    /// Repeats a step, and does it at once when it is woken.
    fn on_event<T, S, F, E>(
        &mut self,
        name: &'static str,
        when: (Duration, Arc<Notify>),
        part: &Arc<T>,
        step: S,
    ) where
        T: Send + Sync + 'static,
        S: Fn(Arc<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<bool, E>> + Send,
        E: std::fmt::Display + Send,
    {
        let (part, stop) = (Arc::clone(part), self.stop.clone());
        let pulse = self.watched(name, when.0, STEP_TIME_MAX);
        self.spawn(name, async move {
            repeat(name, &pulse, when, &stop, || step(Arc::clone(&part))).await
        });
    }

    /// What tells how a task does. Waits after failures are longer than intervals.
    fn watched(
        &self,
        name: &'static str,
        interval: Duration,
        step_time_max: Duration,
    ) -> Arc<Pulse> {
        let age_max = interval.max(RETRY_MAX).saturating_add(step_time_max);
        metrics::counter!("lucid_task_panics_total", "task" => name).increment(0);
        self.service.vitals.watch_task(name, i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX))
    }

    /// Is notified when one of these events happens here or on another replica.
    fn announced(&mut self, events: &'static [&'static str]) -> Arc<Notify> {
        let announced = Announced::new(events);
        let woken = Arc::clone(&announced.notify);
        self.awaited.push(announced);
        woken
    }

    /// Repeats a step of the service while this replica holds the lease of the task's name. Each
    /// time it gets the lease, `begin` has to succeed first. Who is replaced leaves the task to
    /// others for a while.
    fn exclusive<B, BF, S, SF>(
        &mut self,
        name: &'static str,
        when: (Duration, Arc<Notify>),
        begin: B,
        step: S,
    ) where
        B: Fn(Arc<Service>, HeldLease) -> BF + Send + Sync + 'static,
        BF: Future<Output = Result<(), ServiceError>> + Send,
        S: Fn(Arc<Service>, HeldLease) -> SF + Send + Sync + 'static,
        SF: Future<Output = Result<bool, ServiceError>> + Send,
    {
        let (service, stop) = (Arc::clone(&self.service), self.stop.clone());
        let (coordinator, lease) = (Arc::clone(&self.coordinator), self.lease);
        let pulse = self.watched(name, when.0, LONG_STEP_TIME_MAX);
        pulse.stands_by();
        self.spawn(name, async move {
            let work = async |tenure: HeldLease| {
                let (begun, ended, over) =
                    (AtomicBool::new(false), OnceLock::new(), stop.child_token());
                let _held = Held::of(&pulse);
                let one = || async {
                    // A step that panics is as a crash: what comes next begins anew.
                    if !begun.swap(false, Ordering::Relaxed) {
                        begin(Arc::clone(&service), tenure.clone()).await?;
                    }
                    let stepped = step(Arc::clone(&service), tenure.clone()).await;
                    begun.store(true, Ordering::Relaxed);
                    stepped
                };
                let one = || async {
                    let stepped = one().await;
                    if let Err(ServiceError::PayerReplaced { by }) = &stepped {
                        // No failure: payments are frozen, or another replica pays, which has an
                        // alert of its own.
                        tracing::info!(
                            task = name,
                            fence = by.map(|by| by.0),
                            "this tenure is over"
                        );
                        let _ = ended.set(Ended::Replaced(*by));
                        over.cancel();
                        return Ok(false);
                    }
                    stepped
                };
                repeat(name, &pulse, when.clone(), &over, one).await;
                ended.into_inner().unwrap_or(Ended::Stopped)
            };
            while while_held(Arc::clone(&coordinator), name, lease, stop.clone(), &work).await
                != Ended::Stopped
            {
                // Whoever replaced this replica pays by now, or it asks for the lease again.
                service.notifications.clear_alert(PAYER);
            }
        });
    }

    /// Stops all tasks, each after the step it is in, and seals what they wrote into the audit log.
    pub async fn stop(self) {
        self.stop.cancel();
        for (name, task) in self.running {
            if tokio::time::timeout(STOP_TIME_MAX, task).await.is_err() {
                tracing::warn!(task = name, "did not stop in time");
            }
        }
        if let Err(error) = self.service.audit.seal_audit().await {
            tracing::error!(%error, "the audit log was not sealed at the end");
        }
    }
}

/// Nothing comes before the first step.
async fn start_immediately(_: Arc<Service>, _: HeldLease) -> Result<(), ServiceError> {
    Ok(())
}
