//! Stands before every route: who calls, how often, and whether they may at all.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lucid_api_types::{ErrorKind, fleet::auth::HEADER_ENROLMENT};
use lucid_ports::{Admission, LimitClass, Party};
use lucid_service::{Actor, Role};

use crate::{
    access::{self, Found, Route, Who},
    api::{Api, Shared},
    client::ClientAddress,
    deprecated,
    errors::ApiError,
    etag,
    extract::RequestId,
    limits,
    openapi::declared::{self, only_reads},
    scraping::METRICS,
    strict,
};

/// The class of what has no row in the table.
const OTHER: Option<LimitClass> = Some(LimitClass::Other);

/// Lets a request through to its route with the caller in its extensions, or answers itself. The
/// order: whose request it is, whether it comes too often, whether its token counts, whether its
/// role may, whether the route knows what it says.
pub async fn admit(State(api): State<Shared>, mut request: Request, next: Next) -> Response {
    let found = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| access::find(request.method(), path.as_str()));
    let ClientAddress { address, is_proxy } = client(&request);
    let address = Party::at(address);
    let route = match &found {
        Some(Found::Route(route)) => Some(*route),
        _ => None,
    };
    let mut response = match found {
        // Where no route is the answer says so, and costs as much as any other.
        None => limited(&api, OTHER, address, next.run(request)).await,
        Some(Found::Route(route))
            if route.who == Who::Public
                || (route.path == METRICS && api.scraping.admits(request.headers())) =>
        {
            // The address of a balancer is everybody's: a fleet that logs in again through one
            // would shut itself out.
            let class = route.limit.filter(|_| !(route.is_login && is_proxy));
            let answer = async {
                match strict::check(route, request).await {
                    Ok(request) => next.run(request).await,
                    Err(error) => error.into_response(),
                }
            };
            limited(&api, class, address, answer).await
        }
        Some(Found::Route(route)) => {
            let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
            let caller = caller(&api, route, request.headers()).await;
            let class = match (&caller, route.limit) {
                (Ok(actor), None) if route.who.admits(&actor.roles) => None,
                (Ok(actor), _) if actor.is(Role::Admin) => Some(LimitClass::Admin),
                // Guessing is limited, whatever the route.
                (_, limit) => limit.or(OTHER),
            };
            let party = caller.as_ref().map_or(address, party);
            let answer = async {
                let admitted = async {
                    let actor = checked(&api, route, caller).await?;
                    let expected = etag::if_match(request.headers())
                        .filter(|_| route.versioned && !only_reads(request.method()));
                    request.extensions_mut().insert(Actor { request_id, expected, ..actor });
                    strict::check(route, request).await
                };
                match admitted.await {
                    Ok(request) => next.run(request).await,
                    Err(error) => error.into_response(),
                }
            };
            limited(&api, class, party, answer).await
        }
        // A method that the table does not have never reaches the router: the table may lack what
        // the router has.
        Some(Found::OtherMethods(allowed)) => {
            limited(&api, OTHER, address, async { wrong_method(&allowed) }).await
        }
        Some(Found::Nothing) => ApiError::internal(&format!(
            "{} {} is not in the access table",
            request.method(),
            request.uri().path()
        ))
        .into_response(),
    };
    if route.is_some_and(declared::is_deprecated) {
        deprecated::mark(response.headers_mut());
    }
    response
}

/// Who calls: the bearer of a token, or, where a node may be registered, of an enrolment token.
async fn caller(api: &Api, route: &Route, headers: &HeaderMap) -> Result<Actor, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text(header::AUTHORIZATION.as_str());
    match text(HEADER_ENROLMENT) {
        Some(token) if authorization.is_none() && route.who.roles().contains(&Role::Enrolled) => {
            Ok(api.service.fleet.enrolled(token.trim()).await?)
        }
        _ => Ok(api.auth.actor(authorization).await?),
    }
}

/// The answer, unless the party comes too often; it is told what it has left in either case.
async fn limited(
    api: &Api,
    class: Option<LimitClass>,
    party: Party,
    answer: impl Future<Output = Response>,
) -> Response {
    let Some(class) = class else { return answer.await };
    let admission = api.limiter.admit(class, party).await;
    let refused = matches!(admission, Admission::Refused(_));
    let outcome = if refused { "refused" } else { "admitted" };
    metrics::counter!("lucid_rate_limit_total", "class" => class.name(), "outcome" => outcome)
        .increment(1);
    let mut response = if refused {
        let name = class.name();
        ApiError::new(
            ErrorKind::RateLimited,
            format!("too many requests ({name}): come again after the time in Retry-After"),
        )
        .into_response()
    } else {
        answer.await
    };
    limits::tell(response.headers_mut(), class, admission);
    response
}

/// Whether the caller is still who the token says, and may.
async fn checked(
    api: &Api,
    route: &Route,
    caller: Result<Actor, ApiError>,
) -> Result<Actor, ApiError> {
    let actor = caller?;
    if actor.roles.is_empty() {
        return Err(ApiError::new(ErrorKind::AccessDenied, "the token's role is not known here"));
    }
    if let Some(node) = actor.node {
        api.service.fleet.token_node(node, actor.node_key).await?;
    }
    if route.who.admits(&actor.roles) {
        return Ok(actor);
    }
    let needed: Vec<_> = route.who.roles().iter().map(|role| role.name()).collect();
    Err(ApiError::new(
        ErrorKind::AccessDenied,
        format!("not allowed: this needs role {}", needed.join(" or ")),
    ))
}

fn wrong_method(allowed: &str) -> Response {
    let mut response =
        ApiError::new(ErrorKind::MethodNotAllowed, "this route has no such method").into_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

fn party(actor: &Actor) -> Party {
    actor.node.map_or(Party::User(actor.user), Party::Node)
}

/// Where the request comes from; those of which that is not known are one party.
fn client(request: &Request) -> ClientAddress {
    let unknown = ClientAddress { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), is_proxy: false };
    request.extensions().get().copied().unwrap_or(unknown)
}
