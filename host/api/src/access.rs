//! Who may call what: one table. A route that is not in it is refused.
//!
//! The table knows methods, routes and roles. Whose records a caller may touch is the service's to
//! judge; the table only says for which roles the question does not arise.

use axum::http::Method;
use lucid_ports::LimitClass;
use lucid_service::Role::{
    self, Enrolled, Node, Observer, Operator, OwnViewer, Owner, PolicyAuthor, Treasurer, Viewer,
};

use crate::scraping::METRICS;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody; a token is not looked at.
    Public,
    /// Every role.
    AnyRole,
    /// These roles.
    Roles(&'static [Role]),
}

impl Who {
    /// Whether somebody with these roles may.
    pub fn admits(self, roles: &[Role]) -> bool {
        match self {
            Self::Public => true,
            Self::AnyRole => !roles.is_empty(),
            Self::Roles(admitted) => roles.iter().any(|role| admitted.contains(role)),
        }
    }

    /// The roles that may; of a public route all of them.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Public | Self::AnyRole => &Role::ALL,
            Self::Roles(roles) => roles,
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method; GET is HEAD as well.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// Of a route about one record: the roles that may on anybody's. The others may on their own.
    pub on_all_records: Option<&'static [Role]>,
    /// What it counts as; none = never limited, for callers who may.
    pub limit: Option<LimitClass>,
    /// Whether a node proves itself here, so that it has no token to be counted by yet.
    pub is_login: bool,
    /// Whether parameters and fields that it does not know are ignored: of routes that the
    /// network's services or nodes call. A name that is nearly one that it knows is a slip all the
    /// same.
    pub ignores_unknown: bool,
    /// Whether `If-Match` asks about the record that it is about: one whose answers have an `ETag`.
    pub versioned: bool,
    /// What the route is called today, if this is an old name: it works, and is not in the
    /// document, where it could be taken for another path with other parameters.
    pub now: Option<&'static str>,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, who: Who) -> Self {
        let limit = Some(LimitClass::Other);
        Self {
            method,
            path,
            who,
            on_all_records: None,
            limit,
            is_login: false,
            ignores_unknown: false,
            versioned: false,
            now: None,
        }
    }

    /// The network's services call it, or nodes of any version.
    const fn of_the_network(self) -> Self {
        Self { ignores_unknown: true, ..self }
    }

    const fn login(self) -> Self {
        Self { is_login: true, ..self }
    }

    /// About a record that has a version.
    const fn versioned(self) -> Self {
        Self { versioned: true, ..self }
    }

    /// An old name of a route.
    const fn was(self, now: &'static str) -> Self {
        Self { now: Some(now), ..self }
    }

    const fn own_but(self, roles: &'static [Role]) -> Self {
        Self { on_all_records: Some(roles), ..self }
    }

    const fn limit(self, class: LimitClass) -> Self {
        Self { limit: Some(class), ..self }
    }

    const fn unlimited(self) -> Self {
        Self { limit: None, ..self }
    }
}

const fn get(path: &'static str, who: Who) -> Route {
    Route::new("GET", path, who)
}
const fn post(path: &'static str, who: Who) -> Route {
    Route::new("POST", path, who)
}
const fn put(path: &'static str, who: Who) -> Route {
    Route::new("PUT", path, who)
}
const fn delete(path: &'static str, who: Who) -> Route {
    Route::new("DELETE", path, who)
}

const PUBLIC: Who = Who::Public;
const ANY: Who = Who::AnyRole;
/// A node sees its own record, not a list of its owner's.
const PEOPLE: Who = Who::Roles(&[
    OwnViewer,
    Owner,
    Viewer,
    Operator,
    Treasurer,
    PolicyAuthor,
    Observer,
    Role::Admin,
]);
const OWNERS: Who = Who::Roles(&[Owner, Operator]);
const REGISTRANTS: Who = Who::Roles(&[Owner, Operator, Enrolled]);
/// The node itself, or whoever may change it.
const KEYHOLDERS: Who = Who::Roles(&[Node, Owner, Operator]);
const REPORTERS: Who = Who::Roles(&[Node, Owner, Operator, Observer]);
/// Bring what nodes report.
const CARRIERS: Who = Who::Roles(&[Owner, Operator, Observer]);
const OPERATORS: Who = Who::Roles(&[Operator]);
const TREASURERS: Who = Who::Roles(&[Treasurer]);
/// Whoever sees the fire may stop payments.
const STOPPERS: Who = Who::Roles(&[Treasurer, Operator]);
const AUTHORS: Who = Who::Roles(&[PolicyAuthor, Operator]);

/// Read everybody's records.
const FLEET: &[Role] = &[Viewer, Operator, Treasurer];
const FLEET_ONLY: Who = Who::Roles(FLEET);

use LimitClass::{Payouts, Poot, Registrations};

/// The table.
pub const ROUTES: &[Route] = &[
    get("/", PUBLIC),
    get("/openapi.json", PUBLIC),
    get("/docs", PUBLIC),
    get("/docs/", PUBLIC),
    get("/docs/{file}", PUBLIC),
    get("/health", PUBLIC).unlimited(),
    get("/livez", PUBLIC).unlimited(),
    get("/readyz", PUBLIC).unlimited(),
    get("/startupz", PUBLIC).unlimited(),
    get(METRICS, FLEET_ONLY).unlimited(),
    post("/api/v1/auth/challenge", PUBLIC).login().of_the_network(),
    post("/api/v1/auth/token", PUBLIC).login().of_the_network(),
    get("/api/v1/events", ANY),
    get("/api/v1/clock", FLEET_ONLY),
    post("/api/v1/clock/accept", OPERATORS),
    get("/api/v1/nodes", PEOPLE).of_the_network(),
    post("/api/v1/nodes", REGISTRANTS).limit(Registrations).of_the_network(),
    post("/api/v1/nodes/register", REGISTRANTS).limit(Registrations).of_the_network(),
    get("/api/v1/nodes/available", PEOPLE).of_the_network(),
    get("/api/v1/nodes/{id}", ANY).own_but(FLEET).of_the_network().versioned(),
    put("/api/v1/nodes/{id}", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    delete("/api/v1/nodes/{id}", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/activate", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/deactivate", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/suspend", OPERATORS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/lift-suspension", OPERATORS).own_but(&[Operator]).versioned(),
    get("/api/v1/nodes/{id}/pool", ANY).own_but(FLEET).of_the_network(),
    put("/api/v1/nodes/{id}/pool", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/pool", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    delete("/api/v1/nodes/{id}/pool", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/keys/rotate", KEYHOLDERS)
        .own_but(&[Operator])
        .of_the_network()
        .versioned(),
    // Agents may be newer than the service: what it does not know is ignored.
    put("/api/v1/nodes/{id}/machine", KEYHOLDERS).own_but(&[Operator]).of_the_network().versioned(),
    put("/api/v1/nodes/{id}/wallet", Who::Roles(&[Owner])).own_but(&[]).versioned(),
    post("/api/v1/nodes/{id}/wallet/approve", TREASURERS).own_but(&[Treasurer]).versioned(),
    get("/api/v1/nodes/{id}/status", ANY).own_but(FLEET).of_the_network(),
    post("/api/v1/nodes/{id}/start", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    post("/api/v1/nodes/{id}/stop", OWNERS).own_but(&[Operator]).of_the_network().versioned(),
    get("/api/v1/nodes/{id}/poot", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/nodes/{id}/payouts", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/nodes/{id}/usage", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/nodes/{id}/usage/history", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/nodes/{id}/alerts", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/nodes/{id}/earnings", ANY).own_but(FLEET),
    get("/api/v1/nodes/{id}/statement", ANY).own_but(FLEET),
    post("/api/v1/nodes/{id}/heartbeat", REPORTERS).own_but(&[Operator, Observer]).of_the_network(),
    post("/api/v1/nodes/{id}/metrics", REPORTERS).own_but(&[Operator, Observer]).of_the_network(),
    // Each report is judged by itself: nobody is refused as a whole.
    post("/api/v1/metrics:batch", CARRIERS).of_the_network(),
    post("/api/v1/nodes/{id}/observations", REPORTERS)
        .own_but(&[Operator, Observer])
        .of_the_network(),
    post("/api/v1/nodes/{id}/observations/{session_id}/void", OPERATORS).own_but(&[Operator]),
    get("/api/v1/enrolment-tokens", PEOPLE),
    post("/api/v1/enrolment-tokens", OWNERS),
    get("/api/v1/enrolment-tokens/{id}", PEOPLE).own_but(FLEET),
    delete("/api/v1/enrolment-tokens/{id}", OWNERS).own_but(&[Operator]),
    get("/api/v1/pools", ANY).of_the_network(),
    post("/api/v1/pools", OPERATORS).of_the_network(),
    get("/api/v1/pools/{id}", ANY).of_the_network().versioned(),
    get("/api/v1/pools/{id}/health", ANY),
    get("/api/v1/pools/{id}/performance", ANY),
    put("/api/v1/pools/{id}", OPERATORS).of_the_network().versioned(),
    delete("/api/v1/pools/{id}", OPERATORS).of_the_network().versioned(),
    get("/api/v1/webhooks", OPERATORS),
    post("/api/v1/webhooks", OPERATORS),
    get("/api/v1/webhooks/{id}", OPERATORS).versioned(),
    put("/api/v1/webhooks/{id}", OPERATORS).versioned(),
    delete("/api/v1/webhooks/{id}", OPERATORS).versioned(),
    post("/api/v1/webhooks/{id}/test", OPERATORS).versioned(),
    get("/api/v1/webhooks/{id}/deliveries", OPERATORS),
    get("/api/v1/resources/nodes/{id}", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/resources/nodes/{id}/history", ANY).own_but(FLEET),
    get("/api/v1/resources/summary", PEOPLE).of_the_network(),
    post("/api/v1/poot/calculate", ANY).own_but(FLEET).limit(Poot).of_the_network(),
    post("/api/v1/poot/validate", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/poot/scores", ANY).of_the_network(),
    get("/api/v1/poot/scores/{score_id}", ANY).own_but(FLEET),
    post("/api/v1/poot/scores/{score_id}/replay", ANY).own_but(FLEET).limit(Poot),
    get("/api/v1/poot/scores/{score_id}/explain", ANY).own_but(FLEET).limit(Poot),
    get("/api/v1/poot/epochs", ANY),
    get("/api/v1/poot/epochs/{epoch}", ANY),
    post("/api/v1/poot/epochs/{epoch}/replay", OPERATORS),
    get("/api/v1/poot/epochs/{epoch}/export", FLEET_ONLY),
    get("/api/v1/consensus/votes", ANY),
    get("/api/v1/consensus/participation", ANY),
    get("/api/v1/audit", FLEET_ONLY),
    get("/api/v1/audit/heads", FLEET_ONLY),
    post("/api/v1/nodes/{id}/corrections", TREASURERS).own_but(&[Treasurer]).limit(Payouts),
    get("/api/v1/payouts", ANY).of_the_network(),
    get("/api/v1/payouts/status", FLEET_ONLY),
    // A stop always works.
    post("/api/v1/payouts/freeze", STOPPERS).unlimited(),
    post("/api/v1/payouts/resume", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/verify", STOPPERS).limit(Payouts),
    post("/api/v1/payouts/reconcile", TREASURERS).limit(Payouts),
    get("/api/v1/payouts/statement", PEOPLE),
    get("/api/v1/payouts/proposals", FLEET_ONLY),
    get("/api/v1/payouts/proposals/{proposal_id}", FLEET_ONLY),
    post("/api/v1/payouts/resolutions", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/proposals/{proposal_id}/accept", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/proposals/{proposal_id}/refuse", TREASURERS).limit(Payouts),
    get("/api/v1/payouts/mismatches", FLEET_ONLY),
    post("/api/v1/payouts/mismatches/{mismatch_id}/end", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/cancellations/{id}", TREASURERS).own_but(&[Treasurer]).limit(Payouts),
    post("/api/v1/payouts/{id}/cancel", TREASURERS)
        .own_but(&[Treasurer])
        .limit(Payouts)
        .was("/api/v1/payouts/cancellations/{id}"),
    post("/api/v1/payouts/{id}/resolve/paid", TREASURERS).own_but(&[Treasurer]).limit(Payouts),
    post("/api/v1/payouts/{id}/resolve/not-paid", TREASURERS).own_but(&[Treasurer]).limit(Payouts),
    get("/api/v1/payouts/{id}", ANY).own_but(FLEET).of_the_network(),
    get("/api/v1/payouts/proofs/{id}", ANY).own_but(FLEET),
    get("/api/v1/payouts/{id}/proof", ANY).own_but(FLEET).was("/api/v1/payouts/proofs/{id}"),
    post("/api/v1/payouts/retries/{id}", TREASURERS).own_but(&[Treasurer]).limit(Payouts),
    post("/api/v1/payouts/{id}/retry", TREASURERS)
        .own_but(&[Treasurer])
        .limit(Payouts)
        .was("/api/v1/payouts/retries/{id}"),
    get("/api/v1/payouts/runs", FLEET_ONLY),
    post("/api/v1/payouts/runs", TREASURERS).limit(Payouts),
    get("/api/v1/payouts/runs/{id}", FLEET_ONLY),
    get("/api/v1/payouts/runs/{id}/report", FLEET_ONLY),
    post("/api/v1/payouts/runs/{id}/approve", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/runs/{id}/execute", TREASURERS).limit(Payouts),
    post("/api/v1/payouts/runs/{id}/cancel", TREASURERS).limit(Payouts),
    get("/api/v1/payouts/unpaid", FLEET_ONLY),
    get("/api/v1/payouts/treasury", FLEET_ONLY),
    post("/api/v1/payouts/treasury", TREASURERS).limit(Payouts),
    get("/api/v1/policies", ANY),
    post("/api/v1/policies", AUTHORS),
    get("/api/v1/policies/active", ANY),
    get("/api/v1/policies/activations", FLEET_ONLY),
    get("/api/v1/policies/reports", FLEET_ONLY),
    get("/api/v1/policies/audit", FLEET_ONLY),
    get("/api/v1/policies/shadows", FLEET_ONLY),
    get("/api/v1/policies/shadows/{shadow_id}", FLEET_ONLY),
    get("/api/v1/policies/shadows/{shadow_id}/results", FLEET_ONLY),
    post("/api/v1/policies/shadows/{shadow_id}/end", AUTHORS),
    get("/api/v1/policies/{kind}/{name}/{version}", ANY),
    get("/api/v1/policies/{kind}/{name}/{version}/diff", ANY),
    get("/api/v1/policies/{kind}/{name}/{version}/reports", FLEET_ONLY),
    post("/api/v1/policies/{kind}/{name}/{version}/check", AUTHORS),
    post("/api/v1/policies/{kind}/{name}/{version}/simulate", AUTHORS),
    post("/api/v1/policies/{kind}/{name}/{version}/shadow", AUTHORS),
    post("/api/v1/policies/{kind}/{name}/{version}/activate", OPERATORS),
    post("/api/v1/policies/{kind}/{name}/{version}/retire", OPERATORS),
    post("/api/v1/policies/rollbacks/{kind}", OPERATORS),
    post("/api/v1/policies/{kind}/rollback", OPERATORS).was("/api/v1/policies/rollbacks/{kind}"),
];

/// What the table says of a request.
#[derive(Debug, Clone)]
pub enum Found {
    /// This.
    Route(&'static Route),
    /// The route is there with other methods only.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Looks a request's route up by the router's template.
pub fn find(method: &Method, template: &str) -> Found {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut others = Vec::new();
    for route in ROUTES.iter().filter(|route| route.path == template) {
        if route.method == method {
            return Found::Route(route);
        }
        others.push(if route.method == "GET" { "GET, HEAD" } else { route.method });
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

#[cfg(test)]
mod tests;
