//! Who may call which route: every route of the router has one line here, or it answers nobody.
//!
//! A route asks for a credential, then for what its caller may do in the organisation (`Need`), and,
//! where an API key calls, for a scope. `layers::guard` enforces the table; the authorisation matrix
//! test walks it.

use axum::http::Method;
use shared::{api_key::Scope, role::Need};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// Nothing, but it shows more to those who may see it in their organisation.
    Visitor(Scope),
    /// Any valid credential of a person or a key.
    Known,
    /// A person with a session or an access token; keys cannot manage accounts.
    Person,
    /// A person whom the server's configuration names as administrator.
    Operator,
    /// Membership of the organisation that the request works in.
    Tenant(Need, Scope),
    /// Membership of the organisation that the path names.
    Organisation(Need, Scope),
    /// A training node of this server.
    Node,
}

/// What becomes of the header `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// A repeated request gets the first answer.
    Answered,
    /// The same, and the header has to be there.
    Required,
    /// The first answer held a secret that is not kept: a repeated request is refused.
    Secret,
    /// The same, and the header has to be there.
    RequiredSecret,
    /// Repeating changes nothing anyway, or nobody is known whose key it could be.
    Harmless,
}

impl Repeats {
    /// Whether the header has to be there.
    pub const fn needs_key(self) -> bool {
        matches!(self, Self::Required | Self::RequiredSecret)
    }

    /// Whether the answer holds a secret.
    pub const fn holds_secret(self) -> bool {
        matches!(self, Self::Secret | Self::RequiredSecret)
    }
}

/// A bucket of requests beside the general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Guesses at secrets, by address.
    SignIn,
    /// Bytes that are announced, by organisation.
    Upload,
    /// Jobs, by organisation.
    Job,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The method.
    pub method: &'static str,
    /// The path as the router knows it.
    pub path: &'static str,
    /// What it asks of its caller.
    pub access: Access,
    /// What becomes of repeated requests.
    pub repeats: Repeats,
    /// The bucket that it takes from beside the general one.
    pub bucket: Option<Bucket>,
    /// Whether its answers may be kept until something is written: it only reads the database, and writes nothing down
    /// about who read.
    pub kept: bool,
}

const fn rule(method: &'static str, path: &'static str, access: Access) -> Rule {
    Rule {
        method,
        path,
        access,
        repeats: Repeats::Answered,
        bucket: None,
        kept: false,
    }
}

const fn public(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Access::Public).repeats(Repeats::Harmless)
}

const fn tenant(method: &'static str, path: &'static str, need: Need, scope: Scope) -> Rule {
    rule(method, path, Access::Tenant(need, scope))
}

/// A route under an organisation's own path; a key needs `org:admin` for all of them.
const fn organisation(method: &'static str, path: &'static str, need: Need) -> Rule {
    rule(method, path, Access::Organisation(need, Scope::OrgAdmin))
}

const fn person(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Access::Person)
}

const fn node(path: &'static str) -> Rule {
    rule("POST", path, Access::Node).repeats(Repeats::Harmless)
}

impl Rule {
    const fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    const fn takes(mut self, bucket: Bucket) -> Self {
        self.bucket = Some(bucket);
        self
    }

    const fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// A guess at a secret: bounded by address, and its answers hold secrets.
    const fn guess(self) -> Self {
        self.takes(Bucket::SignIn).repeats(Repeats::Harmless)
    }
}

use Need::{Administer, Edit, Own, View};
use Scope::{GalleriesRead, JobsCancel, JobsRun, SetsRead, SetsWrite, ShareWrite};

/// Every route.
pub const RULES: &[Rule] = &[
    // The server about itself.
    public("GET", "/healthz"),
    public("GET", "/readyz"),
    public("GET", "/openapi.json"),
    // Its reader shows a token of its own.
    public("GET", "/metrics"),
    public("GET", "/docs"),
    public("GET", "/docs/{chapter}"),
    public("GET", "/.well-known/jwks.json"),
    public("GET", "/v1/signing-keys"),
    public("GET", "/v1/demo"),
    public("GET", "/demo/evaluation/{file}"),
    public("GET", "/demo/samples/{set}/{file}"),
    public("GET", "/v1/patches/licence-card/content"),
    // The signature of the address is the permission.
    public("PUT", "/blobs/{key}"),
    public("GET", "/blobs/{key}"),
    // Accounts.
    public("POST", "/v1/users").takes(Bucket::SignIn),
    public("POST", "/v1/sessions").takes(Bucket::SignIn),
    person("GET", "/v1/sessions"),
    public("DELETE", "/v1/sessions/current"),
    person("PATCH", "/v1/sessions/current"),
    person("DELETE", "/v1/sessions/{id}"),
    public("POST", "/v1/tokens").takes(Bucket::SignIn),
    public("POST", "/v1/tokens/refresh").takes(Bucket::SignIn),
    public("POST", "/v1/tokens/revoke").takes(Bucket::SignIn),
    public("POST", "/v1/device-authorizations").takes(Bucket::SignIn),
    person("POST", "/v1/device-authorizations/lookup").guess(),
    person("POST", "/v1/device-authorizations/decision").guess(),
    public("POST", "/v1/tokens/device").takes(Bucket::SignIn),
    rule("GET", "/v1/me", Access::Known).kept(),
    person("PATCH", "/v1/me"),
    person("POST", "/v1/me/password").guess(),
    person("POST", "/v1/me/totp").guess(),
    person("POST", "/v1/me/totp/confirm").guess(),
    person("POST", "/v1/me/totp/disable").guess(),
    person("POST", "/v1/me/recovery-codes").guess(),
    person("POST", "/v1/email-verifications").takes(Bucket::SignIn),
    // Its letter may have gone to somebody who never opened the account.
    person("POST", "/v1/email-verifications/confirm").guess(),
    public("POST", "/v1/password-resets").takes(Bucket::SignIn),
    public("POST", "/v1/password-resets/confirm").takes(Bucket::SignIn),
    // Identity providers. The way back asks for room itself: its refusals are pages.
    public("GET", "/v1/identity-providers"),
    public("POST", "/v1/identity-providers/{slug}/authorizations").takes(Bucket::SignIn),
    public("GET", "/v1/identity-providers/{slug}/callback"),
    public("POST", "/v1/sessions/second-factor").takes(Bucket::SignIn),
    person("GET", "/v1/me/identities"),
    person("POST", "/v1/me/identities").guess(),
    person("DELETE", "/v1/me/identities/{id}"),
    // Organisations.
    person("GET", "/v1/organisations").kept(),
    person("POST", "/v1/organisations"),
    organisation("GET", "/v1/organisations/{id}", View).kept(),
    organisation("PATCH", "/v1/organisations/{id}", Administer),
    organisation("DELETE", "/v1/organisations/{id}", Own),
    organisation("GET", "/v1/organisations/{id}/members", View).kept(),
    organisation("PATCH", "/v1/organisations/{id}/members/{user}", Administer),
    // Everybody may leave: the handler lets administrators remove others.
    organisation("DELETE", "/v1/organisations/{id}/members/{user}", View),
    organisation("POST", "/v1/organisations/{id}/transfer", Own),
    organisation("GET", "/v1/organisations/{id}/invitations", Administer),
    organisation("POST", "/v1/organisations/{id}/invitations", Administer),
    organisation(
        "DELETE",
        "/v1/organisations/{id}/invitations/{invitation}",
        Administer,
    ),
    person("POST", "/v1/invitations/accept").takes(Bucket::SignIn),
    // Keys.
    tenant("GET", "/v1/api-keys", Administer, Scope::OrgAdmin),
    tenant("POST", "/v1/api-keys", Administer, Scope::OrgAdmin).repeats(Repeats::Secret),
    tenant("GET", "/v1/api-keys/{id}", Administer, Scope::OrgAdmin),
    tenant("PATCH", "/v1/api-keys/{id}", Administer, Scope::OrgAdmin),
    tenant("DELETE", "/v1/api-keys/{id}", Administer, Scope::OrgAdmin),
    tenant(
        "POST",
        "/v1/api-keys/{id}/rotate",
        Administer,
        Scope::OrgAdmin,
    )
    .repeats(Repeats::Secret),
    // Base models.
    tenant("GET", "/v1/base-models", View, SetsRead).kept(),
    tenant("GET", "/v1/base-models/{id}", View, SetsRead).kept(),
    tenant("DELETE", "/v1/base-models/{id}", Edit, SetsWrite),
    tenant("GET", "/v1/import-sources", View, SetsRead),
    tenant("GET", "/v1/base-model-imports", View, SetsRead),
    tenant("POST", "/v1/base-model-imports", Edit, SetsWrite).takes(Bucket::Upload),
    tenant("GET", "/v1/base-model-imports/{id}", View, SetsRead),
    tenant("DELETE", "/v1/base-model-imports/{id}", Edit, SetsWrite),
    tenant(
        "PUT",
        "/v1/base-model-imports/{id}/files/{number}",
        Edit,
        SetsWrite,
    ),
    tenant(
        "POST",
        "/v1/base-model-imports/{id}/complete",
        Edit,
        SetsWrite,
    ),
    tenant("POST", "/v1/base-model-imports/{id}/retry", Edit, SetsWrite),
    // Sets.
    tenant("GET", "/v1/protected-sets", View, SetsRead).kept(),
    tenant("POST", "/v1/protected-sets", Edit, SetsWrite),
    tenant("GET", "/v1/protected-sets/{id}", View, SetsRead).kept(),
    tenant("DELETE", "/v1/protected-sets/{id}", Edit, SetsWrite),
    tenant(
        "PUT",
        "/v1/protected-sets/{id}/attestation",
        Edit,
        SetsWrite,
    ),
    tenant("POST", "/v1/uploads", Edit, SetsWrite).takes(Bucket::Upload),
    tenant("GET", "/v1/uploads/{id}", Edit, SetsWrite),
    tenant("POST", "/v1/uploads/{id}/complete", Edit, SetsWrite),
    tenant("GET", "/v1/images/{id}/content", View, SetsRead),
    tenant("GET", "/v1/images/{id}/thumbnail", View, SetsRead),
    tenant("DELETE", "/v1/images/{id}", Edit, SetsWrite),
    tenant("GET", "/v1/quotas", View, SetsRead).kept(),
    tenant("GET", "/v1/patches", View, SetsRead).kept(),
    tenant("POST", "/v1/patches", Edit, SetsWrite).takes(Bucket::Upload),
    tenant("GET", "/v1/patches/{id}", View, SetsRead).kept(),
    tenant("DELETE", "/v1/patches/{id}", Edit, SetsWrite),
    tenant("GET", "/v1/patches/{id}/content", View, SetsRead),
    // Jobs.
    tenant("POST", "/v1/preflights", Edit, JobsRun),
    tenant("POST", "/v1/probes", Edit, JobsRun)
        .takes(Bucket::Job)
        .repeats(Repeats::Required),
    tenant("GET", "/v1/jobs", View, JobsRun).kept(),
    tenant("POST", "/v1/jobs", Edit, JobsRun)
        .takes(Bucket::Job)
        .repeats(Repeats::Required),
    tenant("GET", "/v1/jobs/{id}", View, JobsRun).kept(),
    tenant("POST", "/v1/jobs/{id}/cancel", Edit, JobsCancel),
    tenant("POST", "/v1/jobs/{id}/retry", Edit, JobsRun).takes(Bucket::Job),
    tenant("GET", "/v1/jobs/{id}/events", View, JobsRun),
    tenant("GET", "/v1/jobs/{id}/artifacts", View, JobsRun).kept(),
    // Results; downloading a checkpoint takes `models:download` beside.
    rule(
        "GET",
        "/v1/artifacts/{id}/content",
        Access::Visitor(GalleriesRead),
    ),
    tenant("GET", "/v1/galleries", View, GalleriesRead).kept(),
    rule("GET", "/v1/galleries/{id}", Access::Visitor(GalleriesRead)).kept(),
    // Links to them; the address of a shared page is the permission.
    tenant("GET", "/v1/share-links", View, GalleriesRead).kept(),
    tenant("POST", "/v1/share-links", Edit, ShareWrite).repeats(Repeats::RequiredSecret),
    tenant("GET", "/v1/share-links/{id}", View, GalleriesRead),
    tenant("PATCH", "/v1/share-links/{id}", Edit, ShareWrite),
    tenant("DELETE", "/v1/share-links/{id}", Edit, ShareWrite),
    tenant("GET", "/v1/share-links/{id}/views", View, GalleriesRead),
    public("GET", "/s/{token}"),
    public("POST", "/s/{token}").takes(Bucket::SignIn),
    public("GET", "/s/{token}/preview.png"),
    public("GET", "/s/{token}/pictures/{number}"),
    public("GET", "/s/{token}/references/{number}"),
    public("GET", "/s/{token}/archive"),
    tenant("GET", "/v1/revocations", View, GalleriesRead),
    tenant("GET", "/v1/studies", View, GalleriesRead).kept(),
    tenant("POST", "/v1/studies", Edit, JobsRun)
        .takes(Bucket::Job)
        .repeats(Repeats::Required),
    tenant("GET", "/v1/studies/{id}", View, GalleriesRead).kept(),
    tenant("POST", "/v1/studies/{id}/cancel", Edit, JobsCancel),
    tenant("POST", "/v1/jobs/{id}/evaluations", Edit, JobsRun)
        .takes(Bucket::Job)
        .repeats(Repeats::Required),
    tenant("GET", "/v1/jobs/{id}/release", View, JobsRun),
    tenant(
        "GET",
        "/v1/jobs/{id}/release/archive",
        Edit,
        Scope::ModelsDownload,
    ),
    // Consent: a reviewer may be of another organisation, and is found by name.
    tenant("POST", "/v1/approvals", Edit, JobsRun),
    person("GET", "/v1/approvals"),
    person("GET", "/v1/approvals/{id}"),
    person("POST", "/v1/approvals/{id}/decision"),
    // Webhooks.
    tenant("GET", "/v1/webhooks", Administer, Scope::OrgAdmin),
    tenant("POST", "/v1/webhooks", Administer, Scope::OrgAdmin).repeats(Repeats::Secret),
    tenant("GET", "/v1/webhooks/{id}", Administer, Scope::OrgAdmin),
    tenant("PATCH", "/v1/webhooks/{id}", Administer, Scope::OrgAdmin),
    tenant("DELETE", "/v1/webhooks/{id}", Administer, Scope::OrgAdmin),
    tenant(
        "POST",
        "/v1/webhooks/{id}/secret",
        Administer,
        Scope::OrgAdmin,
    )
    .repeats(Repeats::Secret),
    tenant(
        "POST",
        "/v1/webhooks/{id}/test",
        Administer,
        Scope::OrgAdmin,
    ),
    tenant(
        "GET",
        "/v1/webhooks/{id}/deliveries",
        Administer,
        Scope::OrgAdmin,
    ),
    tenant(
        "GET",
        "/v1/webhooks/{id}/deliveries/{delivery_id}",
        Administer,
        Scope::OrgAdmin,
    ),
    tenant(
        "POST",
        "/v1/webhooks/{id}/deliveries/{delivery_id}/replay",
        Administer,
        Scope::OrgAdmin,
    ),
    // The audit log.
    tenant("GET", "/v1/audit-events", Administer, Scope::AuditRead),
    tenant(
        "GET",
        "/v1/audit-events/export",
        Administer,
        Scope::AuditRead,
    ),
    tenant(
        "GET",
        "/v1/audit-events/verification",
        Administer,
        Scope::AuditRead,
    ),
    // Notices; who may decide them, the configuration names.
    public("POST", "/v1/notices"),
    public("GET", "/v1/notices/{id}"),
    public("POST", "/v1/notices/{id}/appeal"),
    tenant("GET", "/v1/received-notices", View, GalleriesRead),
    tenant("GET", "/v1/received-notices/{id}", View, GalleriesRead),
    tenant("PUT", "/v1/received-notices/{id}/answer", Edit, ShareWrite),
    tenant("POST", "/v1/received-notices/{id}/appeal", Edit, ShareWrite),
    rule("GET", "/v1/admin/notices", Access::Operator),
    rule("POST", "/v1/admin/storage-checks", Access::Operator).repeats(Repeats::Harmless),
    rule(
        "DELETE",
        "/v1/admin/storage-probes/{sha256}",
        Access::Operator,
    ),
    rule("POST", "/v1/admin/notices/{id}/decision", Access::Operator),
    public("GET", "/v1/transparency"),
    public("GET", "/.well-known/security.txt"),
    // A person's data.
    person("GET", "/v1/exports"),
    person("POST", "/v1/exports").repeats(Repeats::Required),
    person("GET", "/v1/exports/{id}"),
    person("GET", "/v1/exports/{id}/content"),
    person("POST", "/v1/deletions").guess(),
    public("GET", "/v1/deletions/{id}"),
    // Training nodes, as their operators manage them and as they speak for themselves.
    rule("GET", "/v1/nodes", Access::Operator),
    rule("POST", "/v1/nodes", Access::Operator).repeats(Repeats::Secret),
    rule("GET", "/v1/nodes/{id}", Access::Operator),
    rule("PATCH", "/v1/nodes/{id}", Access::Operator),
    rule("DELETE", "/v1/nodes/{id}", Access::Operator),
    rule("GET", "/v1/nodes/{id}/attempts", Access::Operator),
    // Nobody guesses a token of 238 random bits: the general bucket is enough.
    public("POST", "/v1/node/joins"),
    node("/v1/node/leases"),
    node("/v1/node/jobs/{id}/heartbeats"),
    node("/v1/node/jobs/{id}/uploads"),
    node("/v1/node/jobs/{id}/uploads/missing"),
    node("/v1/node/jobs/{id}/uploads/complete"),
    node("/v1/node/jobs/{id}/resume"),
    node("/v1/node/jobs/{id}/finish"),
];

/// The line of a route; HEAD asks what GET asks.
pub fn find(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    RULES
        .iter()
        .find(|rule| rule.path == path && rule.method == method)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Method and path of every operation of the document.
    fn operations() -> BTreeSet<(String, String)> {
        let document = serde_json::to_value(crate::router::document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let ruled: BTreeSet<_> = RULES
            .iter()
            .map(|rule| (rule.method.to_owned(), rule.path.to_owned()))
            .collect();
        assert_eq!(ruled.len(), RULES.len(), "a route has two rules");
        assert_eq!(operations(), ruled);
    }

    #[test]
    fn writing_takes_more_than_looking() {
        for rule in RULES {
            if let Access::Tenant(need, _) = rule.access {
                assert!(rule.method == "GET" || need != View, "{rule:?}");
            }
        }
    }
}
