//! What each method of the store's ports promises, and which cases prove it. The suite talks to
//! every backend through [`Covered`], which implements the ports: a method of a port without a line
//! here does not compile, a line without a case neither, and a case that does not call what it is
//! said to prove fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry, Link},
        request::{RequestKey, StoredAnswer},
        seal::Seal,
    },
    consensus::{BlockRef, Vote, VoteTally},
    epochs::{
        adjustment::Adjustment,
        epoch::{EpochRecord, Period},
        frame::FrameChunk,
        receipt::{OnDemandReceipt, ScoredChunk},
        score::ScoreCenti,
    },
    fleet::{
        alert::{Alert, AlertKind},
        enrolment::Enrolment,
        node::{Node, NodeStatus, PublicKey, SiblingCounts},
        pool::{Pool, health::Standing},
    },
    id::{
        AlertId, AuditWriterId, Digest, EnrolmentId, MismatchId, NodeId, PayoutId, PoolId,
        ProposalId, RunId, SessionId, ShadowId, WebhookId,
    },
    money::{
        MicroUsdt,
        ledger::{Account, Entry, Head, Stream},
        payout::{Decision, Mismatch, OpenPart, PaymentsSwitch, Payout, Proposal, Remedy},
        run::{Run, RunPart},
        settlement::{Distribution, SettlementRecord},
    },
    notifications::webhook::{Delivery, Webhook},
    policies::{
        Activation, BundleSignature, PolicyReport, PolicyVersion, Revision, Shadow, ShadowEnd,
        ShadowResult,
    },
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup, Sample, UsageSummary},
        observation::Observation,
    },
    time::TimeMs,
};
use lucid_ports::*;
use parking_lot::Mutex;

use crate::Backend;

/// A store that remembers which of its methods were called.
struct Covered {
    inner: Arc<dyn Store>,
    called: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// Any backend, with its stores [`Covered`].
pub struct Watched<'a> {
    backend: &'a mut dyn Backend,
    called: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Backend for Watched<'_> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Covered { inner: self.backend.store(), called: Arc::clone(&self.called) })
    }
    fn reopen(&mut self) {
        self.backend.reopen();
    }
}

impl<'a> Watched<'a> {
    pub fn new(backend: &'a mut dyn Backend) -> Self {
        Self { backend, called: Arc::default() }
    }

    /// Fails unless the case called every method that it is said to prove.
    pub fn check(&self, case: &str) {
        let called = self.called.lock();
        let proven =
            PROOFS.iter().filter(|(_, cases)| cases.contains(&case)).map(|(method, _)| method);
        let missing: Vec<_> = proven.filter(|method| !called.contains(*method)).collect();
        assert!(missing.is_empty(), "{case} never calls {missing:?}");
    }
}

/// Fails if a method is said to be proven by a case that is none.
pub fn check_proofs(cases: &[&str]) {
    for (method, proofs) in PROOFS {
        let missing: Vec<_> = proofs.iter().filter(|proof| !cases.contains(proof)).collect();
        assert!(missing.is_empty(), "{method} is proven by {missing:?}, which are no cases");
    }
}

macro_rules! proven {
    ($($port:ident { $($method:ident($($name:ident: $type:ty),*) -> $answer:ty => $($case:ident),+;)+ })+) => {
        $(#[async_trait]
        impl $port for Covered {
            $(async fn $method(&self, $($name: $type),*) -> Result<$answer, StoreError> {
                self.called.lock().insert(stringify!($method));
                self.inner.$method($($name),*).await
            })+
        })+

        /// Methods with the cases that prove them; no two ports have methods of the same name.
        const PROOFS: &[(&str, &[&str])] = &[$($((stringify!($method), &[$(stringify!($case)),+]),)+)+];
    };
}

proven! {
    StampStore {
        known_stamp() -> Option<Stamp> =>
            a_stamp_is_written_once;
        stamp_or(fresh: Stamp) -> Stamp =>
            a_stamp_is_written_once;
        origin() -> Origin =>
            a_store_that_is_where_it_was_is_the_same;
        take_possession() -> () =>
            a_store_that_is_where_it_was_is_the_same;
    }
    HealthStore {
        probe() -> Option<u64> =>
            a_store_that_is_well_says_so;
        check_pages() -> Option<String> =>
            a_store_that_is_well_says_so;
        damage() -> Option<String> =>
            a_store_that_is_well_says_so;
    }
    NodeStore {
        register_node(registration: Registration) -> Registered =>
            one_of_fifty_registrations_gets_the_address, a_cap_holds_for_fifty_at_once, a_registration_is_repeated_not_doubled;
        node(id: NodeId) -> Option<Node> =>
            a_node_keeps_every_field;
        node_by_external_id(external_id: &str) -> Option<Node> =>
            a_node_keeps_every_field, a_node_that_is_gone_leaves_its_place;
        node_by_key(key: PublicKey) -> Option<Node> =>
            a_node_keeps_every_field;
        update_node(node: Node, audit: AuditEntry) -> bool =>
            one_of_fifty_updates_wins, an_update_never_takes_back_pool_or_score;
        assign_node(id: NodeId, version: u64, pool: Option<PoolId>, audit: AuditEntry) -> Assigned =>
            a_pool_never_holds_more_than_its_limit;
        nodes(filter: &NodeFilter, page: PageRequest<NodeSort>) -> Page<Node> =>
            nodes_are_listed_in_every_order;
        standby_nodes(limit: u32) -> Vec<Node> =>
            active_nodes_without_a_pool_stand_by;
        live_nodes(batch: u32) -> NodeBatches<'_> =>
            the_fleet_is_walked_by_id;
        live_nodes_after(after: Option<NodeId>, limit: u32) -> Vec<Node> =>
            the_fleet_is_walked_by_id;
        count_siblings(newcomer: Newcomer, except: Option<NodeId>) -> SiblingCounts =>
            siblings_are_counted;
        count_by_status() -> Vec<(NodeStatus, u64)> =>
            nodes_are_listed_in_every_order;
    }
    PoolStore {
        create_pool(pool: Pool, audit: AuditEntry) -> bool =>
            one_of_fifty_pools_gets_the_name, a_pool_keeps_every_field;
        pool(id: PoolId) -> Option<Pool> =>
            a_pool_keeps_every_field;
        update_pool(pool: Pool, audit: AuditEntry) -> bool =>
            a_pool_never_holds_more_than_its_limit, one_of_fifty_changes_of_a_pool_wins;
        delete_pool(id: PoolId, version: Option<u64>, audit: AuditEntry) -> Option<Vec<NodeId>> =>
            a_deleted_pool_leaves_no_member;
        pools(filter: &PoolFilter, page: PageRequest<PoolSort>) -> Page<Pool> =>
            pools_are_listed_in_every_order;
        pools_with_room(order: RoomOrder, limit: u32) -> Vec<Pool> =>
            only_pools_with_room_take_nodes;
        pool_named(name: &str) -> Option<Pool> =>
            a_pool_keeps_every_field;
        pool_members(id: PoolId) -> Vec<NodeId> =>
            a_deleted_pool_leaves_no_member;
        pool_standings() -> Vec<Standing> =>
            a_standing_is_kept_by_version_as_long_as_its_pool;
        pool_standing(id: PoolId) -> Option<Standing> =>
            a_standing_is_kept_by_version_as_long_as_its_pool;
        keep_standing(standing: Standing) -> bool =>
            a_standing_is_kept_by_version_as_long_as_its_pool;
    }
    EnrolmentStore {
        create_enrolment(enrolment: Enrolment, audit: AuditEntry) -> bool =>
            an_enrolment_keeps_every_field, one_of_fifty_tokens_has_the_id;
        enrolment(id: EnrolmentId) -> Option<Enrolment> =>
            an_enrolment_keeps_every_field;
        enrolment_by_digest(digest: Digest) -> Option<Enrolment> =>
            an_enrolment_keeps_every_field;
        enrolments(filter: EnrolmentFilter, page: PageRequest<()>) -> Page<Enrolment> =>
            enrolments_are_listed_by_creation;
        forget_enrolments(before: TimeMs, limit: u32) -> u64 =>
            enrolments_are_listed_by_creation;
        revoke_enrolment(id: EnrolmentId, at: TimeMs, audit: AuditEntry) -> bool =>
            a_token_that_is_not_good_registers_nothing, one_of_fifty_tokens_has_the_id;
    }
    RequestStore {
        begin_request(request: NewRequest) -> Begun =>
            one_of_fifty_requests_runs, a_request_is_carried_out_once;
        answer_request(key: RequestKey, answer: StoredAnswer) -> () =>
            a_request_is_carried_out_once;
        release_request(key: RequestKey) -> () =>
            a_request_that_was_left_is_tried_again_with_its_id;
        forget_requests(now: TimeMs, limit: u32) -> u64 =>
            a_key_expires;
    }
    TelemetryStore {
        store_report(report: Report) -> ReportOutcome =>
            a_report_is_stored_once, reports_of_one_number_are_stored_once;
        live_states(nodes: &[NodeId]) -> Vec<Option<LiveState>> =>
            many_reports_are_kept_in_order;
        last_presence(node: NodeId) -> Option<Interval> =>
            what_overlaps_is_observed;
        observed(nodes: &[NodeId], range: Interval) -> Vec<NodeObserved> =>
            what_overlaps_is_observed;
        unverified(range: Interval, limit: u32) -> Vec<Observation> =>
            verdicts_replace_the_unverified;
        session(id: SessionId) -> Option<Observation> =>
            a_voided_session_stays_voided;
        set_verdicts(sessions: Vec<Observation>) -> () =>
            verdicts_replace_the_unverified, a_voided_session_stays_voided;
    }
    SeriesStore {
        samples(node: NodeId, range: Interval, limit: u32) -> Vec<Sample> =>
            many_reports_are_kept_in_order;
        series(node: NodeId, range: Interval, resolution: Resolution) -> Vec<Rollup> =>
            rollups_say_what_the_samples_say, a_late_sample_is_in_its_rollup;
        usage(node: NodeId, range: Interval) -> UsageSummary =>
            usage_is_summed_over_the_range, rollups_say_what_the_samples_say;
        roll_up(after: Option<NodeId>, before: TimeMs, limit: u32) -> Walked =>
            rollups_say_what_the_samples_say, a_late_sample_is_in_its_rollup;
        roll_up_again(after: Option<NodeId>, limit: u32) -> Walked =>
            lost_rollups_are_made_again;
        forget_series(after: Option<NodeId>, kept: SeriesKept, limit: u32) -> Walked =>
            what_is_forgotten_is_rolled_up;
        fleet_usage(nodes: Option<&[NodeId]>, range: Interval) -> (UsageSummary, u64) =>
            usage_is_summed_over_the_range;
    }
    DecisionStore {
        payments_switch() -> PaymentsSwitch =>
            payments_are_switched_by_version;
        set_payments_switch(switch: PaymentsSwitch, audit: AuditEntry) -> bool =>
            payments_are_switched_by_version;
        add_proposal(proposal: Proposal, audit: AuditEntry) -> bool =>
            a_proposal_is_decided_once;
        proposal(id: ProposalId) -> Option<Proposal> =>
            a_proposal_is_decided_once;
        proposals(page: PageRequest<()>) -> Page<Proposal> =>
            a_proposal_is_decided_once;
        decide_proposal(id: ProposalId, decision: Decision, audit: AuditEntry) -> bool =>
            a_proposal_is_decided_once;
    }
    MismatchStore {
        add_mismatch(mismatch: Mismatch, audit: AuditEntry) -> bool =>
            a_mismatch_is_kept_once_and_ended_once;
        mismatch(id: MismatchId) -> Option<Mismatch> =>
            a_mismatch_is_kept_once_and_ended_once;
        mismatches(open_only: bool, page: PageRequest<()>) -> Page<Mismatch> =>
            a_mismatch_is_kept_once_and_ended_once;
        end_mismatch(id: MismatchId, at: TimeMs, remedy: Remedy, audit: AuditEntry) -> bool =>
            a_mismatch_is_kept_once_and_ended_once;
    }
    ShadowStore {
        add_shadow(shadow: Shadow, audit: AuditEntry) -> bool =>
            a_shadow_keeps_every_field_and_is_ended_once;
        end_shadow(id: ShadowId, end: ShadowEnd, audit: AuditEntry) -> bool =>
            a_shadow_keeps_every_field_and_is_ended_once;
        shadow(id: ShadowId) -> Option<Shadow> =>
            a_shadow_keeps_every_field_and_is_ended_once;
        running_shadows() -> Vec<Shadow> =>
            a_shadow_keeps_every_field_and_is_ended_once;
        shadows(page: PageRequest<()>) -> Page<Shadow> =>
            a_shadow_keeps_every_field_and_is_ended_once;
        add_shadow_result(result: ShadowResult) -> bool =>
            a_shadow_speaks_of_a_period_once;
        shadow_results(id: ShadowId, page: PageRequest<()>) -> Page<ShadowResult> =>
            a_shadow_speaks_of_a_period_once;
    }
    AdjustmentStore {
        add_adjustment(adjustment: Adjustment, audit: AuditEntry) -> bool =>
            adjustments_are_kept_once;
        adjustments(node: Option<NodeId>, from_s: i64, to_s: i64) -> Vec<Adjustment> =>
            adjustments_are_kept_once;
    }
    EpochStore {
        staged(epoch_start_s: i64) -> Option<Staged> =>
            an_attempt_is_gone_on_with_and_closed;
        stage_chunks(period: Period, attempt: Attempt, chunks: Vec<ScoredChunk>) -> () =>
            an_attempt_is_gone_on_with_and_closed;
        close_staged(record: EpochRecord, attempt: Attempt) -> Option<EpochRecord> =>
            an_attempt_is_gone_on_with_and_closed, one_of_fifty_closes_what_is_staged;
        commit_epoch(record: EpochRecord, chunks: Vec<ScoredChunk>, votes: Vec<Vote>) -> Option<EpochRecord> =>
            an_epoch_is_closed_exactly_once;
        last_epoch() -> Option<EpochRecord> =>
            an_epoch_is_closed_exactly_once;
        epochs(filter: EpochFilter, page: PageRequest<()>) -> Page<EpochRecord> =>
            epochs_are_listed_by_start;
        pin_block(epoch_start_s: i64, block: BlockRef) -> () =>
            a_block_is_pinned_once;
        scored_chunk(epoch_start_s: i64, index: u32) -> Option<ScoredChunk> =>
            an_attempt_is_gone_on_with_and_closed;
        scored(epoch_start_s: i64) -> Vec<ScoredChunk> =>
            scores_are_read_as_they_were_hashed;
        apply_scores() -> bool =>
            an_attempt_is_gone_on_with_and_closed, one_of_fifty_closes_what_is_staged;
    }
    FrameStore {
        write_frame(period: Period, chunks: FrameChunks) -> () =>
            a_frame_is_written_once, one_of_fifty_frames_versions_and_blocks_is_kept;
        frame_parts(epoch_start_s: i64) -> Option<Vec<FramePart>> =>
            a_frame_is_read_chunk_by_chunk;
        frame_chunk(epoch_start_s: i64, index: u32) -> Option<FrameChunk> =>
            a_frame_is_read_chunk_by_chunk;
        frame(epoch_start_s: i64) -> Vec<FrameChunk> =>
            a_frame_is_written_once;
    }
    ScoreStore {
        scores(filter: &ScoreFilter, page: PageRequest<ScoreSort>) -> Page<ScoreView> =>
            a_nodes_history_is_listed, the_latest_scores_are_listed;
        score(epoch_start_s: i64, node: NodeId) -> Option<ScoreView> =>
            scores_are_read_as_they_were_hashed;
        scores_computed_at(node: NodeId, at: TimeMs) -> Vec<ScoreCenti> =>
            scores_are_found_by_the_second;
        observed_seconds(from_s: i64, to_s: i64) -> Vec<(NodeId, u64)> =>
            totals_count_eligible_epochs_only;
        totals(from_s: i64, to_s: i64) -> Vec<NodeTotals> =>
            totals_count_eligible_epochs_only;
        forget_on_demand(before: TimeMs, limit: u32) -> u64 =>
            scores_are_found_by_the_second;
        add_on_demand(receipt: OnDemandReceipt) -> () =>
            scores_are_found_by_the_second;
    }
    VoteStore {
        make_votes(closed_from: TimeMs) -> MadeVotes =>
            an_attempt_is_gone_on_with_and_closed, one_of_fifty_closes_what_is_staged, a_vote_that_contradicts_another_is_named;
        due_votes(now: TimeMs, limit: u32) -> Vec<Vote> =>
            votes_are_due_when_they_have_a_block, a_node_votes_in_the_order_of_its_epochs;
        epochs_without_block() -> Vec<i64> =>
            a_block_is_pinned_once;
        newest_block() -> Option<BlockRef> =>
            a_block_is_pinned_once;
        expire_votes(closed_before: TimeMs, limit: u32) -> u64 =>
            old_votes_expire_and_votes_are_counted;
        tally_votes(from_s: i64, to_s: i64, node: Option<NodeId>) -> Vec<(i64, VoteTally)> =>
            old_votes_expire_and_votes_are_counted;
        update_votes(votes: Vec<Vote>) -> () =>
            votes_are_due_when_they_have_a_block;
        votes(filter: &VoteFilter, page: PageRequest<()>) -> Page<Vote> =>
            votes_are_listed_by_epoch;
    }
    LedgerStore {
        head(stream: Stream) -> Head =>
            an_entry_is_booked_once;
        book(entries: Vec<Entry>) -> Vec<Booked> =>
            one_of_fifty_entries_gets_the_place, an_entry_is_booked_once;
        book_audited(entry: Entry, audit: AuditEntry) -> Booked =>
            only_what_is_kept_is_linked;
        entry(id: &str) -> Option<Entry> =>
            an_entry_is_booked_once;
        entries(stream: Stream, after_seq: u64, limit: u32) -> Vec<Entry> =>
            an_entry_is_booked_once;
        streams() -> Vec<Stream> =>
            totals_follow_from_legs;
        account_total(account: Account) -> MicroUsdt =>
            totals_follow_from_legs;
        accrued(period_start_s: i64) -> BTreeMap<NodeId, MicroUsdt> =>
            totals_follow_from_legs;
        heads_available(at_least: MicroUsdt) -> Vec<(NodeId, Head)> =>
            totals_follow_from_legs;
    }
    Books {
        ledger_after(after: Option<(Stream, u64)>, limit: u32) -> Vec<Entry> =>
            books_are_read_from_one_end_to_the_other;
        settlements_after(start_s: Option<i64>, limit: u32) -> Vec<SettlementRecord> =>
            books_are_read_from_one_end_to_the_other;
        payouts_after(after: Option<PayoutId>, limit: u32) -> Vec<Payout> =>
            books_are_read_from_one_end_to_the_other;
    }
    SettlementStore {
        settlement(period_start_s: i64) -> Option<SettlementRecord> =>
            a_period_is_settled_once;
        last_settlement() -> Option<SettlementRecord> =>
            a_period_is_settled_once;
        keep_distribution(distribution: Distribution) -> () =>
            what_is_kept_first_of_a_period_is_how_it_is_shared;
        distribution(period_start_s: i64) -> Option<Distribution> =>
            what_is_kept_first_of_a_period_is_how_it_is_shared;
        record_settlement(record: SettlementRecord) -> bool =>
            a_period_is_settled_once;
    }
    PayoutStore {
        create_payouts(payouts: Vec<(Payout, AuditEntry)>) -> Vec<bool> =>
            payouts_are_created_each_by_itself;
        create_payout(payout: Payout, audit: AuditEntry) -> bool =>
            a_payout_is_unique_in_every_way;
        payout(id: PayoutId) -> Option<Payout> =>
            a_payout_keeps_every_field;
        begin_paying(fence: Fence) -> Fence =>
            a_payer_that_was_replaced_changes_nothing, no_payer_changes_anything_once_a_later_one_has_begun;
        update_payouts(fence: Fence, payouts: Vec<(Payout, Option<AuditEntry>)>) -> Vec<PayoutUpdate> =>
            one_of_fifty_sends_is_written, a_payer_that_was_replaced_changes_nothing;
        open_payouts(limit: u32) -> Vec<Payout> =>
            the_outbox_is_what_is_not_closed;
        due_payouts(due: Due) -> Vec<Payout> =>
            what_nobody_may_touch_keeps_no_other_out;
        payout_of_transaction(txid: &str) -> Option<Payout> =>
            a_stolen_transaction_costs_only_its_own_payout;
        open_parts() -> Vec<OpenPart> =>
            what_nobody_may_touch_keeps_no_other_out;
        payouts(filter: &PayoutFilter, page: PageRequest<PayoutSort>) -> Page<Payout> =>
            payouts_are_listed_in_every_order;
        payments(nodes: &[NodeId], range: Interval) -> Vec<(NodeId, TimeMs, MicroUsdt)> =>
            payments_are_completed_payouts;
    }
    RunStore {
        create_run(run: Run, audit: AuditEntry) -> bool =>
            a_run_keeps_every_field_and_changes_by_version;
        run(id: RunId) -> Option<Run> =>
            a_run_keeps_every_field_and_changes_by_version;
        update_run(run: Run, audit: AuditEntry) -> bool =>
            a_run_keeps_every_field_and_changes_by_version;
        open_runs() -> Vec<Run> =>
            a_run_keeps_every_field_and_changes_by_version;
        runs(cycle: Option<i64>, page: PageRequest<()>) -> Page<Run> =>
            runs_are_listed_and_their_payouts_summed;
        run_parts(run: RunId) -> Vec<RunPart> =>
            runs_are_listed_and_their_payouts_summed;
    }
    PolicyStore {
        add_version(stored: StoredBundle, audit: AuditEntry) -> bool =>
            a_version_is_kept_once_with_its_bundle;
        versions() -> Vec<PolicyVersion> =>
            a_version_is_kept_once_with_its_bundle;
        bundle(digest: Digest) -> Option<StoredBundle> =>
            a_version_is_kept_once_with_its_bundle;
        sign_version(digest: Digest, signatures: Vec<BundleSignature>, signed_by: Vec<String>, audit: AuditEntry) -> bool =>
            a_versions_signatures_are_replaced;
        retire_version(digest: Digest, reason: String, audit: AuditEntry) -> bool =>
            a_version_is_retired_once;
        add_report(report: PolicyReport) -> () =>
            the_newest_reports_of_the_gate_are_kept;
        reports(digest: Option<Digest>, limit: u32) -> Vec<PolicyReport> =>
            the_newest_reports_of_the_gate_are_kept;
        active() -> (Revision, Vec<Activation>) =>
            the_newest_activation_of_a_scope_is_in_force, what_is_scheduled_stands_beside_what_is_in_force;
        activations(limit: u32) -> Vec<Activation> =>
            the_newest_activation_of_a_scope_is_in_force;
        activate(based_on: Revision, activations: Vec<Activation>, audit: Vec<AuditEntry>) -> Activated =>
            one_of_fifty_activations_wins;
        import(digest: Digest) -> Option<ImportRecord> =>
            an_import_is_remembered;
        record_import(record: ImportRecord) -> () =>
            an_import_is_remembered;
    }
    AlertStore {
        raise_alert(alert: Alert) -> bool =>
            an_alert_keeps_every_field, one_of_fifty_alerts_of_a_node_and_kind_is_active;
        clear_alert(node: NodeId, kind: AlertKind, at: TimeMs) -> Option<Alert> =>
            an_alert_keeps_every_field, one_of_fifty_alerts_of_a_node_and_kind_is_active;
        active_alerts_after(after: Option<AlertId>, limit: u32) -> Vec<Alert> =>
            alerts_are_walked_and_forgotten_once_they_are_over;
        active_alerts(node: NodeId) -> Vec<Alert> =>
            an_alert_keeps_every_field;
        alerts(node: NodeId, page: PageRequest<()>) -> Page<Alert> =>
            an_alert_keeps_every_field;
        forget_alerts(before: TimeMs, limit: u32) -> u64 =>
            alerts_are_walked_and_forgotten_once_they_are_over;
    }
    WebhookStore {
        add_webhook(webhook: Webhook, audit: AuditEntry) -> bool =>
            a_webhook_keeps_every_field_and_changes_by_version;
        webhooks() -> Vec<Webhook> =>
            a_webhook_keeps_every_field_and_changes_by_version;
        update_webhook(webhook: Webhook, audit: AuditEntry) -> bool =>
            a_webhook_keeps_every_field_and_changes_by_version;
        remove_webhook(id: WebhookId, version: Option<u64>, audit: AuditEntry) -> bool =>
            a_webhook_keeps_every_field_and_changes_by_version;
        add_deliveries(deliveries: Vec<Delivery>) -> () =>
            a_delivery_is_due_until_it_arrived;
        due_deliveries(webhook: WebhookId, now: TimeMs, limit: u32) -> Vec<Delivery> =>
            a_delivery_is_due_until_it_arrived;
        update_deliveries(deliveries: Vec<Delivery>) -> () =>
            a_delivery_is_due_until_it_arrived;
        deliveries(filter: DeliveryFilter, page: PageRequest<()>) -> Page<Delivery> =>
            deliveries_are_listed_by_creation_and_forgotten;
        forget_deliveries(before: TimeMs, limit: u32) -> u64 =>
            deliveries_are_listed_by_creation_and_forgotten;
    }
    AuditLog {
        audit(filter: &AuditFilter, page: PageRequest<()>) -> Page<ChainedEntry> =>
            entries_are_found_by_what_they_tell;
        audit_heads() -> Vec<ChainHead> =>
            every_entry_has_a_link;
        audit_links(writer: AuditWriterId, after_seq: u64, limit: u32) -> Vec<Link> =>
            links_and_entries_are_read_in_pages;
        audit_entries(writer: AuditWriterId, after_place: u64, limit: u32) -> Vec<ChainedEntry> =>
            an_entry_keeps_every_field, links_and_entries_are_read_in_pages;
        audit_seals(after_seq: u64, limit: u32) -> Vec<Seal> =>
            a_seal_is_kept_as_it_was_signed;
        last_audit_seal() -> Option<Seal> =>
            a_seal_is_kept_as_it_was_signed;
    }
    AuditStore {
        add_audit(entry: AuditEntry) -> () =>
            every_entry_has_a_link, a_chain_goes_on_after_a_restart;
        add_audit_seal(seal: Seal) -> bool =>
            one_of_fifty_seals_is_added;
    }
}
