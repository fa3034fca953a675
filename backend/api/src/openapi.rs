//! What every operation of the OpenAPI document shares: title, security, the problem answer.

use shared::problem::Problem;
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{
            ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
        },
    },
};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shared;

/// Routes that ask nobody who they are.
const PUBLIC: &[&str] = &[
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/.well-known/jwks.json",
    "/v1/users",
    "/v1/sessions",
    "/v1/sessions/current",
    "/v1/tokens",
    "/v1/demo",
    "/v1/patches/licence-card/content",
    "/v1/signing-keys",
    "/v1/notices",
    "/v1/notices/{id}",
    "/v1/deletions/{id}",
    "/v1/transparency",
    "/.well-known/security.txt",
    "/demo/samples/{set}/{file}",
    "/blobs/{key}",
];

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
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            add_problem(operation);
            add_security(path, operation);
        }
    }
    document
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

fn add_security(path: &str, operation: &mut Operation) {
    if PUBLIC.contains(&path) {
        return;
    }
    let none: [String; 0] = [];
    let schemes: &[&str] = if path.starts_with("/v1/node/") {
        &["node_token"]
    } else {
        &["session", "access_token"]
    };
    let requirements = schemes
        .iter()
        .map(|name| SecurityRequirement::new(*name, none.clone()));
    operation.security = Some(requirements.collect());
}

fn add_schemes(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::extract::identity::SESSION_COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    components.add_security_scheme("access_token", bearer());
    components.add_security_scheme("node_token", bearer());
}
