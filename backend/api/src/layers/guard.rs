//! The door: finds the route's rule, the caller, and whether there is room; then lets the request in.
//!
//! A route without a rule answers nobody. What handlers learn of the caller stands in the request's
//! extensions, put there here and nowhere else.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use shared::{NodeId, OrganisationId, audit::AuditActor};

use super::{
    client, idempotency,
    limits::{self, Asking, Room},
    represent::{self, Answer},
    response_cache::{Question, ResponseCache},
};
use crate::{
    app::{
        App,
        principal::{self, Principal, Shown},
    },
    error::Error,
    extract::{
        NodeIdentity,
        identity::{bearer, session_cookie},
    },
    policy::{self, Access, Rule},
};

/// The header that names the organisation to work in.
const ORGANISATION: &str = "organisation";

/// What the door needs to know.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) app: App,
    /// Method and path of every operation that the router serves.
    pub(crate) served: Arc<BTreeSet<(String, String)>>,
    /// Answers that still hold.
    pub(crate) responses: Arc<ResponseCache>,
}

/// Who comes in.
enum Caller {
    Anyone,
    Known(Box<Principal>),
    Node(Option<NodeId>),
}

/// Admits the request or says why not; every answer tells how much room is left.
pub(crate) async fn admit(State(door): State<Door>, request: Request, next: Next) -> Response {
    let app = &door.app;
    let address = client::found(&request);
    let rule = match rule(&door, &request) {
        Ok(Some(rule)) => rule,
        // Nothing is served here, or not by this method: the router says so.
        Ok(None) if request.uri().path().starts_with("/v1/") => {
            let room = limits::take(app, None, Asking::Nobody, address);
            return match room.refusal.clone() {
                Some(refusal) => limits::tell(refusal.into_response(), &room, false),
                None => limits::tell(next.run(request).await, &room, false),
            };
        }
        Ok(None) => return next.run(request).await,
        Err(error) => return error.into_response(),
    };
    let question = question(&door, rule, &request, address);
    if let Some(kept) = question.and_then(|question| door.responses.find(&question)) {
        let room = limits::take(app, Some(rule), Asking::Person(&kept.caller), address);
        let response = if let Some(refusal) = &room.refusal {
            refusal.clone().into_response()
        } else {
            let known = request.headers().get(header::IF_NONE_MATCH);
            kept.document.clone().unless_known(known)
        };
        return told(app, response, &room);
    }
    let shown = Shown {
        bearer: bearer(request.headers()),
        cookie: session_cookie(request.headers()),
        organisation: None,
        address,
    };
    let path = request.uri().path();
    let caller = find_caller(app, rule, shown, request.headers(), path).await;
    let asking = match &caller {
        Ok(Caller::Known(principal)) => Asking::Person(principal.as_ref()),
        Ok(Caller::Node(Some(node))) => Asking::Node(*node),
        _ => Asking::Nobody,
    };
    let room = limits::take(app, Some(rule), asking, address);
    let response = match (caller, &room.refusal) {
        (_, Some(refusal)) => refusal.clone().into_response(),
        (Err(error), None) => error.into_response(),
        (Ok(caller), None) => run(&door, rule, (caller, question), request, next).await,
    };
    told(app, response, &room)
}

/// What may have been answered before: a document of a route whose answers are kept.
fn question(door: &Door, rule: &Rule, request: &Request, address: IpAddr) -> Option<Question> {
    if !rule.kept || request.method() != Method::GET {
        return None;
    }
    let app = &door.app;
    door.responses
        .question(request, address, app.store(), app.now())
}

/// The answer with what is left of the room; one that was known already costs none.
fn told(app: &App, response: Response, room: &Room) -> Response {
    let unchanged = response.status() == StatusCode::NOT_MODIFIED;
    if unchanged {
        app.limits().requests.give_back(&room.key);
    }
    limits::tell(response, room, unchanged)
}

fn rule(door: &Door, request: &Request) -> Result<Option<&'static Rule>, Error> {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return Ok(None);
    };
    let found = policy::find(request.method(), path.as_str());
    if found.is_none() {
        let place = (request.method().to_string(), path.as_str().to_owned());
        if door.served.contains(&place) {
            let (method, path) = place;
            return Err(Error::Internal(format!("no rule for {method} {path}")));
        }
    }
    Ok(found)
}

async fn find_caller(
    app: &App,
    rule: &Rule,
    shown: Shown<'_>,
    headers: &HeaderMap,
    path: &str,
) -> Result<Caller, Error> {
    match rule.access {
        Access::Public => return Ok(Caller::Anyone),
        Access::Node => {
            let node = principal::authenticate_node(app, shown.bearer).await?;
            return Ok(Caller::Node(node));
        }
        _ => {}
    }
    let by_path = matches!(rule.access, Access::Organisation(..));
    let organisation = if by_path {
        organisation_of_path(path)
    } else {
        named_organisation(headers)?
    };
    let shown = Shown {
        organisation,
        ..shown
    };
    let caller = match principal::authenticate(app, shown).await {
        Err(Error::Unauthenticated) if matches!(rule.access, Access::Visitor(_)) => {
            return Ok(Caller::Anyone);
        }
        other => other?,
    };
    match rule.access {
        Access::Public | Access::Node | Access::Known => {}
        Access::Visitor(scope) => caller.require_scope(scope)?,
        Access::Person => caller.require_person()?,
        Access::Operator => {
            caller.require_person()?;
            principal::require_operator(app, &caller).await?;
        }
        Access::Tenant(need, scope) | Access::Organisation(need, scope) => {
            if by_path && organisation.is_none() {
                return Err(Error::NotFound);
            }
            caller.require_scope(scope)?;
            caller.require(need)?;
        }
    }
    Ok(Caller::Known(Box::new(caller)))
}

fn named_organisation(headers: &HeaderMap) -> Result<Option<OrganisationId>, Error> {
    let Some(value) = headers.get(ORGANISATION) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| {
        Error::Malformed("The header Organisation takes the id of an organisation.".into())
    })
}

/// `/v1/organisations/{id}` and what is below it.
fn organisation_of_path(path: &str) -> Option<OrganisationId> {
    path.split('/').nth(3)?.parse().ok()
}

async fn run(
    door: &Door,
    rule: &'static Rule,
    (caller, question): (Caller, Option<Question>),
    mut request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().get(header::IF_NONE_MATCH).cloned();
    let shows = (request.method() == Method::GET).then(|| request.uri().clone());
    let asked = match (&caller, question) {
        (Caller::Known(principal), Some(question)) => Some((question, principal.clone())),
        _ => None,
    };
    let response = match caller {
        Caller::Anyone => next.run(request).await,
        Caller::Node(node) => {
            store::identify(AuditActor::Node);
            request.extensions_mut().insert(NodeIdentity(node));
            next.run(request).await
        }
        Caller::Known(principal) => {
            store::identify(AuditActor::User {
                user_id: principal.user,
            });
            request.extensions_mut().insert((*principal).clone());
            idempotency::run(&door.app, rule, &principal, request, next).await
        }
    };
    let Some(uri) = shows else {
        return response;
    };
    match represent::finish(response, &uri).await {
        Ok(Answer::Document(document)) => {
            if let Some((question, caller)) = asked {
                door.responses.keep(&question, *caller, document.clone());
            }
            document.unless_known(sent.as_ref())
        }
        Ok(Answer::Other(response)) => response,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisation_is_read_from_its_place_in_the_path() {
        let id = format!("org_{:032x}", 7);
        let found = |path: String| organisation_of_path(&path);
        assert!(found(format!("/v1/organisations/{id}")).is_some());
        assert!(found(format!("/v1/organisations/{id}/members/usr_1")).is_some());
        assert!(found(format!("/v1/jobs/x/{id}")).is_none());
        assert!(found("/v1/organisations".into()).is_none());
        assert!(found("/v1/organisations/..".into()).is_none());
    }
}
