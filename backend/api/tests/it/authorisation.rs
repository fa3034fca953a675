//! The authorisation matrix: every route with every kind of caller, generated from the policy and
//! the router. A route without a rule fails here, as it does for callers.

use std::sync::atomic::{AtomicUsize, Ordering};

use api::policy::{Access, RULES, Rule};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    api_key::Scope,
    artifact::Artifact,
    auth::User,
    job::Job,
    model_import::ModelImport,
    notice::NoticeReceipt,
    organisation::{Invitation, Organisation},
    page::Page,
    patch::PatchImage,
    role::{Need, Role},
    share_link::CreatedShareLink,
    study::Study,
    upload::Upload,
    webhook::{Delivery, WebhookWithSecret},
};

use crate::{
    keys::{holder, make},
    organisations::{join, studio},
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    support::{Person, Server, body, png},
};

/// One thing of every noun, all of one organisation.
struct Things {
    organisation: String,
    member: String,
    ids: Vec<(&'static str, String)>,
}

async fn post<T: serde::de::DeserializeOwned>(
    person: &Person<'_>,
    path: &str,
    request: &Value,
    status: StatusCode,
) -> T {
    body(person.post(path, request).await, status).await
}

async fn patch(person: &Person<'_>) -> PatchImage {
    let request = person
        .request(Method::POST, "/v1/patches")
        .header("content-type", "image/png")
        .body(png(32, 32, 9));
    body(
        request.send().await.expect("an answer"),
        StatusCode::CREATED,
    )
    .await
}

/// A job with a gallery and a checkpoint, done by a scripted node.
async fn finished_job(server: &Server, person: &Person<'_>) -> (String, String, String) {
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    protect(&node, &lease).await;
    let lease = node.lease().await;
    let mut file = report();
    file["collateral"] = collateral();
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    let finished = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(finished, StatusCode::NO_CONTENT);
    let done: Job = person.read(&job.urls.own).await;
    let files: Page<Artifact> = person.read(&done.urls.artifacts).await;
    let gallery = done.gallery_id.expect("a gallery");
    (
        job.id.to_string(),
        gallery.to_string(),
        files.data[0].id.to_string(),
    )
}

async fn things(
    server: &Server,
    owner: &Person<'_>,
    organisation: &Organisation,
    member: &Person<'_>,
) -> Things {
    let set = owner.set("draft").await;
    let upload: Upload = body(
        owner.upload(&set, "a.png", &png(64, 64, 1)).await,
        StatusCode::OK,
    )
    .await;
    let image = upload.image.as_ref().expect("an image").id.to_string();
    let (job, gallery, artifact) = finished_job(server, owner).await;
    let study = owner
        .request(Method::POST, "/v1/studies")
        .header("idempotency-key", "study")
        .json(&json!({ "protect_job_id": job }));
    let study: Study = body(study.send().await.expect("an answer"), StatusCode::ACCEPTED).await;
    let file = |name: &str| json!({ "name": name, "size_bytes": 10, "sha256": "0".repeat(64) });
    let names = [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ];
    let import = json!({ "name": "m", "licence": "MIT", "licence_accepted": true,
        "source": { "kind": "upload", "files": names.map(file) } });
    let import: ModelImport = post(
        owner,
        "/v1/base-model-imports",
        &import,
        StatusCode::ACCEPTED,
    )
    .await;
    server.confirm(owner, "owner").await;
    let share = owner
        .request(Method::POST, "/v1/share-links")
        .header("idempotency-key", "share")
        .json(&json!({ "gallery_id": gallery }));
    let link: CreatedShareLink =
        body(share.send().await.expect("an answer"), StatusCode::CREATED).await;
    let key = make(owner, &json!({ "name": "k", "scopes": ["sets:read"] })).await;
    let invitations = format!("/v1/organisations/{}/invitations", organisation.id);
    let invite = json!({ "email": "late@example.org", "role": "viewer" });
    let invitation: Invitation = post(owner, &invitations, &invite, StatusCode::CREATED).await;
    let session = json!({ "email": "owner@example.org", "password": "correct horse battery" });
    server.stranger().post("/v1/sessions", &session).await;
    let model = owner.model().await.id.to_string();
    let hook = json!({ "url": "http://127.0.0.1:9/" });
    let hook: WebhookWithSecret = post(owner, "/v1/webhooks", &hook, StatusCode::CREATED).await;
    let hook = hook.webhook.id;
    let test = format!("/v1/webhooks/{hook}/test");
    let sent: Delivery = post(owner, &test, &json!({}), StatusCode::ACCEPTED).await;
    let complaint = json!({ "category": "model_harmed", "object": gallery, "good_faith": true,
        "explanation": "It draws something else.", "name": "Eve", "email": "e@example.org", "signature": "Eve" });
    let notice: NoticeReceipt = post(owner, "/v1/notices", &complaint, StatusCode::CREATED).await;
    Things {
        organisation: organisation.id.to_string(),
        member: member.read::<User>("/v1/me").await.id.to_string(),
        ids: vec![
            ("/v1/base-models/", model),
            ("/v1/base-model-imports/", import.id.to_string()),
            ("/v1/protected-sets/", set.id.to_string()),
            ("/v1/uploads/", upload.id.to_string()),
            ("/v1/images/", image),
            ("/v1/patches/", patch(owner).await.id.to_string()),
            ("/v1/jobs/", job),
            ("/v1/artifacts/", artifact),
            ("/v1/studies/", study.id.to_string()),
            ("/v1/galleries/", gallery),
            ("/v1/share-links/", link.share_link.id.to_string()),
            ("/v1/api-keys/", key.api_key.id.to_string()),
            ("/v1/webhooks/", hook.to_string()),
            ("/v1/received-notices/", notice.id.to_string()),
            ("delivery", sent.id.to_string()),
            ("invitation", invitation.id.to_string()),
        ],
    }
}

impl Things {
    fn delivery(&self) -> &str {
        let found = self.ids.iter().find(|(noun, _)| *noun == "delivery");
        &found.expect("the delivery").1
    }

    /// The rule's path with ids of things that exist.
    fn path(&self, rule: &Rule) -> String {
        let found = self
            .ids
            .iter()
            .find(|(start, _)| rule.path.starts_with(start));
        let id = match rule.access {
            Access::Organisation(..) => self.organisation.clone(),
            _ => found.map_or_else(|| format!("ses_{:032x}", 1), |(_, id)| id.clone()),
        };
        let invitation = &self.ids.last().expect("the invitation").1;
        // The embedded model is everybody's: nobody may delete it, whatever their role.
        let id = if (rule.method, rule.path) == ("DELETE", "/v1/base-models/{id}") {
            format!("mdl_{:032x}", 1)
        } else {
            id
        };
        let path = rule
            .path
            .replace("{id}", &id)
            .replace("{user}", &self.member)
            .replace("{invitation}", invitation)
            .replace("{delivery_id}", self.delivery())
            .replace("{number}", "0")
            .replace("{key}", &"0".repeat(64));
        path.replace("{set}", "x")
            .replace("{file}", "x")
            .replace("{token}", "x")
    }
}

/// Asks as a program would that knows the route and no parameters.
async fn ask(person: &Person<'_>, rule: &Rule, path: &str) -> u16 {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let method: Method = rule.method.parse().expect("a method");
    let key = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
    let request = person.request(method, path).header("idempotency-key", key);
    let request = match rule.method {
        "GET" | "DELETE" => request,
        "PUT" if !rule.path.ends_with("attestation") => request.body("0"),
        _ => request
            .header("content-type", "application/json")
            .body("{}"),
    };
    request.send().await.expect("an answer").status().as_u16()
}

/// What a caller with this role is to meet.
fn may(rule: &Rule, role: Role) -> bool {
    match rule.access {
        // Everybody may leave, and only administrators make others leave; the member here is another.
        Access::Organisation(..) if rule.method == "DELETE" && rule.path.ends_with("{user}") => {
            role.may(Need::Administer)
        }
        Access::Tenant(need, _) | Access::Organisation(need, _) => role.may(need),
        Access::Node | Access::Operator => false,
        // The file here is a protected model: it leaves by those who may release it.
        Access::Visitor(_) if rule.path == "/v1/artifacts/{id}/content" => role.may(Need::Edit),
        Access::Public | Access::Visitor(_) | Access::Known | Access::Person => true,
    }
}

const fn scope_of(rule: &Rule) -> Option<Scope> {
    match rule.access {
        Access::Tenant(_, scope) | Access::Organisation(_, scope) | Access::Visitor(scope) => {
            Some(scope)
        }
        _ => None,
    }
}

struct Matrix {
    cells: usize,
    failures: Vec<String>,
}

impl Matrix {
    fn check(&mut self, rule: &Rule, who: &str, status: u16, holds: bool) {
        self.cells += 1;
        if !holds || status >= 500 {
            let route = format!("{} {}", rule.method, rule.path);
            self.failures.push(format!("{route} by {who}: {status}"));
        }
    }
}

/// Refusals first: they change nothing, so that every thing is there for each of them.
async fn refusals(
    matrix: &mut Matrix,
    people: &[(Role, Person<'_>)],
    strangers: &Strangers<'_>,
    things: &Things,
) {
    for rule in RULES {
        strangers.server.clock.advance(61_000);
        let path = things.path(rule);
        let open = matches!(rule.access, Access::Public | Access::Visitor(_));
        let status = ask(&strangers.nobody, rule, &path).await;
        matrix.check(
            rule,
            "nobody",
            status,
            (status == 401) != open || (open && status != 403),
        );
        for (role, person) in people.iter().filter(|(role, _)| !may(rule, *role)) {
            let status = ask(person, rule, &path).await;
            let expected = if rule.access == Access::Node {
                401
            } else {
                403
            };
            matrix.check(rule, role.as_str(), status, status == expected);
        }
        if let Access::Tenant(..) | Access::Organisation(..) = rule.access {
            let status = ask(&strangers.intruder, rule, &path).await;
            matrix.check(rule, "an intruder", status, status == 404);
        }
        // Base models are everybody's; `{number}` is part of an import.
        let named = rule.path.contains('{') && !rule.path.starts_with("/v1/base-models");
        let theirs = matches!(rule.access, Access::Tenant(..) | Access::Visitor(_));
        if named && theirs {
            let status = ask(&strangers.neighbour, rule, &path).await;
            matrix.check(rule, "a neighbour", status, status == 404);
        }
        keys(matrix, rule, &path, strangers).await;
    }
}

/// Keys with every scope but the one, and of no use for accounts.
async fn keys(matrix: &mut Matrix, rule: &Rule, path: &str, strangers: &Strangers<'_>) {
    if matches!(rule.access, Access::Person | Access::Operator) {
        let status = ask(&strangers.all_scopes, rule, path).await;
        matrix.check(rule, "a key", status, status == 403);
    }
    let Some(scope) = scope_of(rule) else {
        return;
    };
    let index = Scope::ALL
        .iter()
        .position(|known| *known == scope)
        .expect("a scope");
    let status = ask(&strangers.all_but[index], rule, path).await;
    matrix.check(rule, "a key without the scope", status, status == 403);
}

async fn admissions(
    matrix: &mut Matrix,
    people: &[(Role, Person<'_>)],
    strangers: &Strangers<'_>,
    things: &Things,
) {
    // What deletes goes last.
    let (mut rules, deleting): (Vec<&Rule>, Vec<&Rule>) =
        RULES.iter().partition(|rule| rule.method == "GET");
    rules.extend(deleting);
    for rule in rules {
        // Signing out would end the caller's own part in this test.
        if rule.path == "/v1/sessions/current" && rule.method == "DELETE" {
            continue;
        }
        strangers.server.clock.advance(61_000);
        let path = things.path(rule);
        for (role, person) in people.iter().filter(|(role, _)| may(rule, *role)) {
            let status = ask(person, rule, &path).await;
            // The key is the owner's, and its secret acts as them: others rotate their own.
            if rule.path == "/v1/api-keys/{id}/rotate" && *role != Role::Owner {
                matrix.check(rule, "another administrator", status, status == 403);
                continue;
            }
            let read = rule.method == "GET"
                && matches!(
                    rule.access,
                    Access::Tenant(..) | Access::Organisation(..) | Access::Visitor(_)
                );
            let found = !read || status == 200;
            let public = rule.access == Access::Public;
            matrix.check(
                rule,
                role.as_str(),
                status,
                public || (found && !matches!(status, 401 | 403)),
            );
        }
        if scope_of(rule).is_some() && rule.method == "GET" {
            let status = ask(&strangers.all_scopes, rule, &path).await;
            matrix.check(rule, "a key with every scope", status, status == 200);
        }
        if rule.access == Access::Node {
            let node = strangers.server.node();
            let status = ask(&node.person, rule, &path).await;
            matrix.check(rule, "a node", status, !matches!(status, 401 | 403));
        }
    }
}

struct Strangers<'a> {
    server: &'a Server,
    nobody: Person<'a>,
    /// Names an organisation that is not theirs.
    intruder: Person<'a>,
    /// Asks for others' things in an organisation of their own.
    neighbour: Person<'a>,
    all_scopes: Person<'a>,
    /// A key without the scope at the same place.
    all_but: Vec<Person<'a>>,
}

async fn strangers<'a>(
    server: &'a Server,
    owner: &Person<'_>,
    organisation: &Organisation,
) -> Strangers<'a> {
    let names = Scope::ALL.map(Scope::as_str);
    let key = async |scopes: Vec<&str>| {
        let made = make(owner, &json!({ "name": "k", "scopes": scopes })).await;
        holder(server, &made.secret)
    };
    let mut all_but = Vec::new();
    for missing in names {
        let scopes = names.into_iter().filter(|name| *name != missing);
        all_but.push(key(scopes.collect()).await);
    }
    let mut intruder = server.person("intruder").await;
    intruder.organisation = Some(organisation.id.to_string());
    Strangers {
        server,
        nobody: server.stranger(),
        intruder,
        neighbour: server.person("neighbour").await,
        all_scopes: key(names.to_vec()).await,
        all_but,
    }
}

#[tokio::test]
async fn every_route_admits_whom_its_rule_says_and_nobody_else() {
    let server = Server::start_with(|config| config.administrators.clear()).await;
    let mut owner = server.person("owner").await;
    let organisation = studio(&mut owner).await;
    let mut people = Vec::new();
    for role in [Role::Admin, Role::Editor, Role::Reviewer, Role::Viewer] {
        let person = join(&server, &owner, &organisation, role.as_str(), role.as_str()).await;
        people.push((role, person));
    }
    let member = join(&server, &owner, &organisation, "member", "viewer").await;
    let things = things(&server, &owner, &organisation, &member).await;
    let strangers = strangers(&server, &owner, &organisation).await;
    people.insert(0, (Role::Owner, owner));
    let mut matrix = Matrix {
        cells: 0,
        failures: Vec::new(),
    };
    refusals(&mut matrix, &people, &strangers, &things).await;
    admissions(&mut matrix, &people, &strangers, &things).await;
    println!("matrix_cells={}", matrix.cells);
    assert!(matrix.failures.is_empty(), "{:#?}", matrix.failures);
    assert!(matrix.cells > 7 * RULES.len(), "{} cells", matrix.cells);
}
