//! What every operation of the OpenAPI document shares: title, security, the problem answer.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use shared::{api_key::Scope, problem::Problem};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, InfoBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{
            ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
        },
    },
};

use crate::policy::{self, Access, Repeats, Rule};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shared;

/// The document before any route is known.
pub(crate) fn base() -> OpenApi {
    let mut document = Shared::openapi();
    document.info = InfoBuilder::new()
        .title("PersGuard")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Protects sets of images against personalization of a text-to-image model.",
        ))
        .build();
    document
}

/// Adds what every operation shares.
pub(crate) fn finish(mut document: OpenApi) -> OpenApi {
    add_schemes(&mut document);
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
            (Method::PATCH, &mut item.patch),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                describe_responses(operation);
                add_problem(operation);
                add_rule(policy::find(&method, path), operation);
            }
        }
    }
    document
}

/// OpenAPI wants a description of every response; its status says as much as ours would.
fn describe_responses(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let reason = StatusCode::from_bytes(status.as_bytes());
            let reason = reason.ok().and_then(|status| status.canonical_reason());
            reason
                .unwrap_or("The answer")
                .clone_into(&mut response.description);
        }
    }
}

fn add_problem(operation: &mut Operation) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description("Why the request was refused")
        .content("application/problem+json", content)
        .build();
    operation
        .responses
        .responses
        .insert("default".into(), RefOr::T(response));
}

/// Method and path of every operation.
pub(crate) fn operations(document: &OpenApi) -> BTreeSet<(String, String)> {
    let mut operations = BTreeSet::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("DELETE", &item.delete),
            ("PATCH", &item.patch),
        ] {
            if operation.is_some() {
                operations.insert((method.to_owned(), path.clone()));
            }
        }
    }
    operations
}

/// The header under which a request can be repeated.
fn idempotency_key(required: bool) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^\"?[!#-~]{1,255}\"?$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(if required {
            Required::True
        } else {
            Required::False
        })
        .description(Some(
            "The caller's own name for this request: repeated under it, it gets the first answer.",
        ))
        .schema(Some(schema))
        .build()
}

/// Says who may call an operation, as the policy has it.
fn add_rule(rule: Option<&Rule>, operation: &mut Operation) {
    let Some(rule) = rule else {
        return;
    };
    if rule.method == "POST" && rule.repeats != Repeats::Harmless {
        let key = idempotency_key(rule.repeats.needs_key());
        let parameters = operation.parameters.get_or_insert_default();
        // A name stands once in a list: where a handler lists it, too, this one says more.
        parameters.retain(|known| !matches!(known, RefOr::T(known) if known.name == key.name));
        parameters.push(RefOr::T(key));
    }
    let none: [String; 0] = [];
    let by = |name: &str| SecurityRequirement::new(name, none.clone());
    let with = |scope: Scope| SecurityRequirement::new("api_key", [scope.as_str()]);
    let person = [by("session"), by("access_token")];
    operation.security = match rule.access {
        Access::Public => Some(Vec::new()),
        Access::Node => Some(vec![by("node_token")]),
        Access::Person | Access::Operator => Some(person.to_vec()),
        Access::Known => Some([&person[..], &[by("api_key")]].concat()),
        Access::Tenant(_, scope) | Access::Organisation(_, scope) => {
            Some([&person[..], &[with(scope)]].concat())
        }
        Access::Visitor(scope) => {
            let anyone = SecurityRequirement::default();
            Some([&[anyone], &person[..], &[with(scope)]].concat())
        }
    };
}

fn add_schemes(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::extract::identity::SESSION_COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    components.add_security_scheme("access_token", bearer());
    components.add_security_scheme("api_key", bearer());
    components.add_security_scheme("node_token", bearer());
}
