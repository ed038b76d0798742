//! The suite on a MongoDB server, and what only several processes can break.

mod drain;
mod opening;
mod server;

use std::sync::Arc;

use lucid_ports::Store;
use tokio::{runtime::Handle, task::block_in_place};
use uuid::Uuid;

use super::MongoStore;
use crate::conformance::{Backend, conformance_suite};

/// A database of its own for each test.
struct Mongo {
    url: String,
    store: Option<Arc<dyn Store>>,
}

impl Backend for Mongo {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Arc::new(open(&self.url)));
    }
}

impl Drop for Mongo {
    /// Somebody else's server is left as it was.
    fn drop(&mut self) {
        if std::env::var_os("MONGODB_URI").is_some() {
            let dropped = block_in_place(|| Handle::current().block_on(async { MongoStore::open(&self.url).await.unwrap().database.drop().await }));
            dropped.unwrap();
        }
    }
}

fn open(url: &str) -> MongoStore {
    block_in_place(|| Handle::current().block_on(MongoStore::open(url))).unwrap()
}

/// The URL of a database that nobody has used; none where no server can be had.
fn fresh() -> Option<String> {
    Some(server::with_database(server::uri()?, &format!("lucid-test-{}", Uuid::now_v7().simple())))
}

fn mongo() -> Option<Mongo> {
    let url = fresh()?;
    let store: Arc<dyn Store> = Arc::new(open(&url));
    Some(Mongo { url, store: Some(store) })
}

mod suite {
    super::conformance_suite! { @ crate::mongo::tests::mongo;
        shared: a_stamp_is_written_once;
        audit: entries_are_found_by_what_they_tell, an_entry_keeps_every_field, every_entry_has_a_link,
            a_chain_goes_on_after_a_restart, links_and_entries_are_read_in_pages, one_of_fifty_seals_is_added, a_seal_is_kept_as_it_was_signed;
        nodes: a_node_keeps_every_field, a_live_node_has_its_key_address_and_external_id_alone, a_node_that_is_gone_leaves_its_place,
            an_unapproved_registration_gives_way, one_of_fifty_registrations_gets_the_address, one_of_fifty_updates_wins,
            nodes_are_listed_in_every_order, the_fleet_is_walked_by_id, siblings_are_counted,
            a_cap_holds_for_fifty_at_once, a_registration_is_repeated_not_doubled, nodes_without_an_address_do_not_collide;
        enrolments: an_enrolment_keeps_every_field, one_use_is_had_once, a_token_that_is_not_good_registers_nothing,
            enrolments_are_listed_by_creation;
        requests: a_request_is_carried_out_once, a_request_that_was_left_is_tried_again_with_its_id, a_key_expires,
            one_of_fifty_requests_runs;
        pools: a_pool_keeps_every_field, one_of_fifty_pools_gets_the_name, a_pool_never_holds_more_than_its_limit,
            a_deleted_pool_leaves_no_member, pools_are_listed_in_every_order, only_pools_with_room_take_nodes;
        policies: a_version_is_kept_once_with_its_bundle, one_of_fifty_activations_wins, the_newest_activation_of_a_scope_is_in_force,
            an_import_is_remembered;
    }
}
