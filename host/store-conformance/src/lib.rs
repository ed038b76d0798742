//! What every backend does alike: one suite over `dyn Store`. A backend brings a [`Backend`] and
//! names the suite once: `conformance_suite!(its::constructor)`. The constructor answers none where
//! the backend's server cannot be had. Tests alone depend on this.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops and says where"
)]

pub mod audit;
pub mod consensus;
pub mod contention;
pub mod covered;
pub mod epochs;
pub mod examples;
pub mod filled;
pub mod fleet;
pub mod money;
pub mod mongo_server;
pub mod notifications;
pub mod policies;
pub mod review;
pub mod shared;
pub mod telemetry;

/// Where the suite finds its areas.
pub mod areas {
    pub use crate::{
        audit::{self, requests},
        consensus, contention,
        epochs::{self, scores},
        fleet::{alerts, enrolments, nodes, pools},
        money::{decisions, ledger, payouts},
        notifications::webhooks,
        policies,
        review::shadows,
        shared,
        telemetry::{self, series},
    };
}

use std::{future::Future, sync::Arc};

use lucid_ports::{Order, PageRequest, Store};

/// A store of its own for each test.
pub trait Backend: Send {
    /// The open store.
    fn store(&self) -> Arc<dyn Store>;
    /// Closes the store and opens it again; no clone of it may be left.
    fn reopen(&mut self);
}

#[macro_export]
macro_rules! conformance_suite {
    ($backend:path) => {
        $crate::conformance_suite! { @ $backend;
            shared: a_stamp_is_written_once, a_store_that_is_where_it_was_is_the_same, a_store_that_is_well_says_so,
                everything_is_there_after_a_restart;
            contention: one_of_fifty_has_the_key_and_the_external_id, one_of_fifty_moves_of_a_node_wins, one_of_fifty_changes_of_a_pool_wins,
                one_of_fifty_tokens_has_the_id, one_of_fifty_payouts_has_the_transaction, one_of_fifty_frames_versions_and_blocks_is_kept,
                every_list_is_read_page_by_page;
            alerts: an_alert_keeps_every_field, one_of_fifty_alerts_of_a_node_and_kind_is_active, alerts_are_walked_and_forgotten_once_they_are_over;
            webhooks: a_webhook_keeps_every_field_and_changes_by_version, a_delivery_is_due_until_it_arrived,
                deliveries_are_listed_by_creation_and_forgotten;
            audit: entries_are_found_by_what_they_tell, an_entry_keeps_every_field, every_entry_has_a_link, only_what_is_kept_is_linked,
                a_chain_goes_on_after_a_restart, links_and_entries_are_read_in_pages, one_of_fifty_seals_is_added, a_seal_is_kept_as_it_was_signed,
                what_follows_from_a_change_is_audited_with_it;
            nodes: a_node_keeps_every_field, a_live_node_has_its_key_address_and_external_id_alone, a_node_that_is_gone_leaves_its_place,
                an_unapproved_registration_gives_way, one_of_fifty_registrations_gets_the_address, one_of_fifty_updates_wins,
                an_update_never_takes_back_pool_or_score, nodes_are_listed_in_every_order, the_fleet_is_walked_by_id, siblings_are_counted,
                a_cap_holds_for_fifty_at_once, a_registration_is_repeated_not_doubled, nodes_without_an_address_do_not_collide;
            enrolments: an_enrolment_keeps_every_field, one_use_is_had_once, a_token_that_is_not_good_registers_nothing,
                enrolments_are_listed_by_creation;
            requests: a_request_is_carried_out_once, a_request_that_was_left_is_tried_again_with_its_id, a_key_expires,
                one_of_fifty_requests_runs;
            pools: a_pool_keeps_every_field, one_of_fifty_pools_gets_the_name, a_pool_never_holds_more_than_its_limit,
                a_deleted_pool_leaves_no_member, pools_are_listed_in_every_order, only_pools_with_room_take_nodes,
                a_standing_is_kept_by_version_as_long_as_its_pool, active_nodes_without_a_pool_stand_by;
            policies: a_version_is_kept_once_with_its_bundle, a_versions_signatures_are_replaced, one_of_fifty_activations_wins, the_newest_activation_of_a_scope_is_in_force,
                what_is_scheduled_stands_beside_what_is_in_force, a_version_is_retired_once, the_newest_reports_of_the_gate_are_kept,
                an_import_is_remembered;
            epochs: a_frame_is_written_once, a_frame_is_read_chunk_by_chunk, an_attempt_is_gone_on_with_and_closed,
                one_of_fifty_closes_what_is_staged, an_epoch_is_closed_exactly_once, closing_an_epoch_moves_its_nodes, epochs_are_listed_by_start;
            scores: scores_are_read_as_they_were_hashed, the_latest_scores_are_listed, a_nodes_history_is_listed,
                scores_are_found_by_the_second, totals_count_eligible_epochs_only, a_sum_that_does_not_fit_is_an_error;
            consensus: a_block_is_pinned_once, votes_are_due_when_they_have_a_block, a_node_votes_in_the_order_of_its_epochs,
                old_votes_expire_and_votes_are_counted, a_vote_that_contradicts_another_is_named, votes_are_listed_by_epoch;
            ledger: an_entry_is_booked_once, one_of_fifty_entries_gets_the_place, an_entry_behind_a_refused_one_is_refused,
                an_unbalanced_entry_is_an_error, totals_follow_from_legs, a_period_is_settled_once, what_is_kept_first_of_a_period_is_how_it_is_shared, books_are_read_from_one_end_to_the_other;
            payouts: a_run_keeps_every_field_and_changes_by_version, a_run_that_nobody_let_go_stays_so_in_every_state, runs_are_listed_and_their_payouts_summed, what_nobody_may_touch_keeps_no_other_out, payouts_are_created_each_by_itself, a_payout_keeps_every_field, a_payout_is_unique_in_every_way,
                one_of_fifty_sends_is_written, a_payer_that_was_replaced_changes_nothing,
                no_payer_changes_anything_once_a_later_one_has_begun, a_stolen_transaction_costs_only_its_own_payout, the_outbox_is_what_is_not_closed,
                payouts_are_listed_in_every_order, payments_are_completed_payouts;
            decisions: payments_are_switched_by_version, a_proposal_is_decided_once, a_mismatch_is_kept_once_and_ended_once;
            telemetry: a_report_is_stored_once, reports_of_one_number_are_stored_once, fifty_first_reports_of_a_node_are_all_stored, a_session_belongs_to_one_node,
                a_session_grows_and_never_shrinks, presence_grows_from_its_start, usage_is_summed_over_the_range,
                many_reports_are_kept_in_order, what_overlaps_is_observed, verdicts_replace_the_unverified, a_voided_session_stays_voided;
            shadows: a_shadow_keeps_every_field_and_is_ended_once, a_shadow_speaks_of_a_period_once, adjustments_are_kept_once;
            series: rollups_say_what_the_samples_say, a_late_sample_is_in_its_rollup, what_is_forgotten_is_rolled_up, lost_rollups_are_made_again;
        }
    };
    (@ $backend:path; $($area:ident: $($test:ident),+;)+) => {
        $(mod $area {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                if let Some(mut backend) = $backend() {
                    let mut watched = $crate::covered::Watched::new(&mut backend);
                    $crate::areas::$area::$test(&mut watched).await;
                    watched.check(stringify!($test));
                }
            })+
        })+

        #[test]
        fn every_method_is_proven_by_a_case() {
            $crate::covered::check_proofs(&[$($(stringify!($test)),+),+]);
        }
    };
}

/// The first page of a hundred.
pub fn all<S>(sort: S, order: Order) -> PageRequest<S> {
    PageRequest { page: 1, limit: 100, sort, order }
}

/// Runs fifty of something at once.
async fn fifty<F>(run: impl Fn(u32) -> F) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let running: Vec<_> = (0..50).map(|i| tokio::spawn(run(i))).collect();
    let mut outcomes = Vec::new();
    for one in running {
        outcomes.push(one.await.unwrap());
    }
    outcomes
}
