//! What each method of the coordination ports promises, and which cases prove it. As for the store:
//! a method without a line does not compile, and a case that does not call what it is said to prove
//! fails. (A listener has one method.)

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use lucid_ports::{
    Admission, Checked, CoordinationError, Coordinator, Fence, FirstUse, Lease, LimitClass,
    Listener, Party, RateLimiter, Topic, UsedOnce,
};
use parking_lot::Mutex;

use super::Replicas;

type Called = Arc<Mutex<BTreeSet<&'static str>>>;

/// A part of a backend that remembers which of its methods were called.
struct Covered<T: ?Sized> {
    inner: Arc<T>,
    called: Called,
}

/// Any backend, with its parts [`Covered`].
pub(crate) struct Watched<'a> {
    replicas: &'a dyn Replicas,
    called: Called,
}

impl Replicas for Watched<'_> {
    fn replica(&self, name: &str) -> Arc<dyn Coordinator> {
        Arc::new(Covered { inner: self.replicas.replica(name), called: Arc::clone(&self.called) })
    }
    fn limiter(&self) -> Arc<dyn RateLimiter> {
        Arc::new(Covered { inner: self.replicas.limiter(), called: Arc::clone(&self.called) })
    }
    fn used_once(&self) -> Arc<dyn UsedOnce> {
        Arc::new(Covered { inner: self.replicas.used_once(), called: Arc::clone(&self.called) })
    }
}

impl<'a> Watched<'a> {
    pub(crate) fn new(replicas: &'a dyn Replicas) -> Self {
        Self { replicas, called: Called::default() }
    }

    /// Fails unless the case called every method that it is said to prove.
    pub(crate) fn check(&self, case: &str) {
        let called = self.called.lock();
        let proven = PROOFS.iter().copied().flatten().filter(|(_, cases)| cases.contains(&case));
        let missing: Vec<_> =
            proven.map(|(method, _)| method).filter(|method| !called.contains(*method)).collect();
        assert!(missing.is_empty(), "{case} never calls {missing:?}");
    }
}

/// Fails if a method is said to be proven by a case that is none.
pub(crate) fn check_proofs(cases: &[&str]) {
    for (method, proofs) in PROOFS.iter().copied().flatten() {
        let missing: Vec<_> = proofs.iter().filter(|proof| !cases.contains(proof)).collect();
        assert!(missing.is_empty(), "{method} is proven by {missing:?}, which are no cases");
    }
}

macro_rules! proven {
    ($port:ident as $proofs:ident {
        $(fn $plain:ident($($name:ident: $type:ty),*) -> $answer:ty => $($case:ident),+;)*
        $(async fn $waits:ident($($name_of:ident: $type_of:ty),*) -> $answer_of:ty => $($case_of:ident),+;)*
    }) => {
        #[async_trait]
        impl $port for Covered<dyn $port> {
            $(fn $plain(&self, $($name: $type),*) -> $answer {
                self.called.lock().insert(stringify!($plain));
                self.inner.$plain($($name),*)
            })*
            $(async fn $waits(&self, $($name_of: $type_of),*) -> $answer_of {
                self.called.lock().insert(stringify!($waits));
                self.inner.$waits($($name_of),*).await
            })*
        }

        const $proofs: &[(&str, &[&str])] =
            &[$((stringify!($plain), &[$(stringify!($case)),+]),)* $((stringify!($waits), &[$(stringify!($case_of)),+]),)*];
    };
}

/// Methods with the cases that prove them.
const PROOFS: [&[(&str, &[&str])]; 3] = [COORDINATOR, LIMITER, USED_ONCE];

proven! {
    Coordinator as COORDINATOR {
        fn replica() -> &str => a_coordinator_answers_and_has_a_name;
        fn seen(name: &str, fence: Fence) -> () => a_fence_that_a_store_has_seen_is_passed;
        async fn acquire(name: &str, ttl: Duration) -> Result<Option<Lease>, CoordinationError> =>
            one_of_fifty_gets_the_lease, fences_grow_from_holder_to_holder;
        async fn renew(lease: &Lease) -> Result<Option<Lease>, CoordinationError> => a_renewed_lease_outlives_its_time;
        async fn release(lease: &Lease) -> Result<bool, CoordinationError> => only_its_holder_gives_a_lease_back;
        async fn tell(topic: Topic, payload: Vec<u8>) -> Result<(), CoordinationError> => what_one_says_the_others_hear;
        async fn listen() -> Box<dyn Listener> => what_one_says_the_others_hear;
        async fn check() -> Result<Checked, CoordinationError> => a_coordinator_answers_and_has_a_name;
    }
}

proven! {
    RateLimiter as LIMITER {
        async fn admit(class: LimitClass, party: Party) -> Admission => a_quota_is_shared_and_told;
        async fn forget_idle() -> usize => what_is_forgotten_is_no_quota_that_is_used;
    }
}

proven! {
    UsedOnce as USED_ONCE {
        async fn use_up(word: &str, ttl: Duration) -> FirstUse => a_word_is_used_once_whichever_replica_is_asked;
    }
}
