//! Nodes that join: a token once, a credential for the node protocol alone, drain and removal.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use shared::{
    job::{Job, JobStatus},
    node::{JoinedNode, Lease, NodeCommand},
    page::Page,
    training_node::{CreatedNode, NodeAttempt, NodeIntake, NodeOrigin, NodeStatus, TrainingNode},
};

use crate::{
    scripted::{Node, protect},
    support::{Person, Server, body, client, refused},
};

async fn create(admin: &Person<'_>, name: &str) -> CreatedNode {
    let response = admin.post("/v1/nodes", &json!({ "name": name })).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    body(response, StatusCode::CREATED).await
}

async fn join(server: &Server, token: &str) -> Response {
    let request = json!({ "token": token });
    server.stranger().post("/v1/node/joins", &request).await
}

/// A scripted node that joined.
async fn joined<'a>(server: &'a Server, admin: &Person<'_>, name: &str) -> Node<'a> {
    let made = create(admin, name).await;
    let joined: JoinedNode = body(join(server, &made.join_token).await, StatusCode::CREATED).await;
    assert_eq!((joined.node_id, joined.name.as_str()), (made.node.id, name));
    Node {
        person: Person {
            server,
            client: client(),
            bearer: Some(joined.credential),
            organisation: None,
        },
        id: joined.node_id.to_string(),
    }
}

async fn read(admin: &Person<'_>, id: &str) -> TrainingNode {
    admin.read(&format!("/v1/nodes/{id}")).await
}

async fn set_intake(admin: &Person<'_>, id: &str, intake: &str) -> TrainingNode {
    let change = json!({ "intake": intake });
    let response = admin.patch(&format!("/v1/nodes/{id}"), &change).await;
    body(response, StatusCode::OK).await
}

#[tokio::test]
async fn token_joins_once_and_its_credential_opens_the_node_protocol_alone() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let made = create(&admin, "gpu").await;
    assert_eq!(made.node.status, NodeStatus::Waiting);
    assert_eq!(made.node.origin, NodeOrigin::Joined);
    let line = format!(
        "persguard-node join http://{} {} --run",
        server.address, made.join_token
    );
    assert_eq!(made.command, line, "no flag on this machine itself");
    refused(join(&server, "pgj_nothing").await, 410, "gone").await;
    for nonsense in ["", &"x".repeat(201)] {
        refused(join(&server, nonsense).await, 422, "invalid").await;
    }
    let joined: JoinedNode = body(join(&server, &made.join_token).await, StatusCode::CREATED).await;
    refused(join(&server, &made.join_token).await, 410, "gone").await;
    let node = Node {
        person: Person {
            server: &server,
            client: client(),
            bearer: Some(joined.credential),
            organisation: None,
        },
        id: joined.node_id.to_string(),
    };
    for path in ["/v1/me", "/v1/nodes", "/v1/jobs"] {
        refused(node.person.get(path).await, 401, "unauthenticated").await;
    }
    let person = server.person("ada").await;
    person.job().await;
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let seen = read(&admin, &node.id).await;
    assert_eq!(seen.status, NodeStatus::Online);
    assert_eq!(seen.name, "gpu", "as its operator called it");
    assert_eq!(seen.current.len(), 1);
    assert_eq!(seen.current[0].job_id, lease.job_id);
    assert_eq!(seen.current[0].device, None, "it named none");
    server.clock.advance(31_000);
    assert_eq!(read(&admin, &node.id).await.status, NodeStatus::Offline);
    let mut other = node;
    other.id = format!("nod_{:032x}", 9);
    refused(other.ask().await, 403, "forbidden").await;
}

#[tokio::test]
async fn nodes_are_for_the_administrators_of_the_server() {
    let server = Server::start().await;
    let person = server.confirmed("ada").await;
    let unproven = server.person("second").await;
    for person in [&person, &unproven] {
        refused(person.get("/v1/nodes").await, 403, "forbidden").await;
        let request = json!({ "name": "gpu" });
        let response = person.post("/v1/nodes", &request).await;
        refused(response, 403, "forbidden").await;
    }
    let admin = server.confirmed("admin").await;
    for bad in [
        json!({}),
        json!({ "name": " " }),
        json!({ "name": "x", "expires_in_minutes": 0 }),
        json!({ "name": "x", "credential": "pgn_x" }),
    ] {
        refused(admin.post("/v1/nodes", &bad).await, 422, "invalid").await;
    }
    let short = json!({ "name": "late", "expires_in_minutes": 1 });
    let late: CreatedNode = body(admin.post("/v1/nodes", &short).await, StatusCode::CREATED).await;
    server.clock.advance(61_000);
    refused(join(&server, &late.join_token).await, 410, "gone").await;
    let listed: Page<TrainingNode> = admin.read("/v1/nodes").await;
    assert_eq!(listed.data[0].status, NodeStatus::Expired);
}

#[tokio::test]
async fn node_cannot_touch_what_another_one_holds() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let (holder, other) = (
        joined(&server, &admin, "holder").await,
        joined(&server, &admin, "other").await,
    );
    let person = server.person("ada").await;
    let job = person.job().await;
    let lease = holder.lease().await;
    // Tokens are small numbers: the other node guesses this one.
    let command = other.beat(&lease, json!([])).await.command;
    assert_eq!(command, NodeCommand::Fenced);
    let status = other.finish(&lease, json!({ "result": "canceled" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let upload = json!({ "token": lease.token, "sha256": "0".repeat(64), "size_bytes": 1 });
    refused(other.post(&lease, "uploads", &upload).await, 409, "fenced").await;
    let resume =
        json!({ "token": lease.token, "step": 1, "sha256": "0".repeat(64), "size_bytes": 1 });
    refused(other.post(&lease, "resume", &resume).await, 409, "fenced").await;
    holder.beat(&lease, json!([])).await;
    protect(&holder, &lease).await;
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!(done.status, JobStatus::Succeeded);
    let attempts = format!("/v1/nodes/{}/attempts", holder.id);
    let attempts: Page<NodeAttempt> = admin.read(&attempts).await;
    assert_eq!(attempts.data.len(), 1);
    assert_eq!(attempts.data[0].ended_as, Some(JobStatus::Succeeded));
}

#[tokio::test]
async fn drained_node_gives_back_and_paused_node_ends_what_it_has() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let (first, second) = (
        joined(&server, &admin, "first").await,
        joined(&server, &admin, "second").await,
    );
    let person = server.person("ada").await;
    let job = person.job().await;
    let lease = first.lease().await;
    let paused = set_intake(&admin, &first.id, "paused").await;
    assert_eq!(paused.intake, NodeIntake::Paused);
    let command = first.beat(&lease, json!([])).await.command;
    assert_eq!(command, NodeCommand::Continue);
    set_intake(&admin, &first.id, "draining").await;
    let command = first.beat(&lease, json!([])).await.command;
    assert_eq!(command, NodeCommand::Release);
    let released = first.finish(&lease, json!({ "result": "released" })).await;
    assert_eq!(released, StatusCode::NO_CONTENT);
    assert_eq!(first.ask().await.status(), StatusCode::NO_CONTENT);
    let again = second.lease().await;
    assert_eq!((again.job_id, again.attempt), (job.id, 1));
    second.finish(&again, json!({ "result": "released" })).await;
    set_intake(&admin, &second.id, "paused").await;
    // Opened again, it gets work while it waits for some.
    let (response, _) = tokio::join!(first.ask(), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        set_intake(&admin, &first.id, "open").await
    });
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn removed_node_is_locked_out_and_its_job_goes_on_elsewhere() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let node = joined(&server, &admin, "gpu").await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let lease = node.lease().await;
    let path = format!("/v1/nodes/{}", node.id);
    for _ in 0..2 {
        let removed = admin.delete(&path).await;
        assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    }
    refused(node.ask().await, 401, "unauthenticated").await;
    let finish = node.finish(&lease, json!({ "result": "canceled" })).await;
    assert_eq!(finish, StatusCode::UNAUTHORIZED);
    let waiting: Job = person.read(&job.urls.own).await;
    assert_eq!(waiting.status, JobStatus::Queued);
    let own = server.node();
    assert_eq!(own.lease().await.job_id, job.id);
    assert_eq!(read(&admin, &node.id).await.status, NodeStatus::Removed);
    let listed: Page<TrainingNode> = admin.read("/v1/nodes").await;
    assert_eq!(listed.data.len(), 1, "the server's own node is left");
    assert_eq!(listed.data[0].origin, NodeOrigin::Local);
    let own = format!("/v1/nodes/{}", own.id);
    refused(admin.delete(&own).await, 409, "conflict").await;
    let gone = format!("/v1/nodes/nod_{:032x}", 1);
    refused(admin.delete(&gone).await, 404, "not_found").await;
}

#[tokio::test]
async fn change_needs_the_version_that_was_read() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let made = create(&admin, "gpu").await;
    let path = format!("/v1/nodes/{}", made.node.id);
    let patch = async |tag: Option<&str>, change: Value| {
        let request = admin
            .request(Method::PATCH, &path)
            .header("content-type", "application/merge-patch+json")
            .body(change.to_string());
        let request = match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        };
        request.send().await.expect("an answer")
    };
    let rename = json!({ "name": "b" });
    let without = patch(None, rename.clone()).await;
    refused(without, 428, "precondition_required").await;
    let tag = admin.get(&path).await.headers()["etag"].clone();
    let tag = tag.to_str().expect("text");
    let renamed = patch(Some(tag), rename.clone()).await;
    let renamed: TrainingNode = body(renamed, StatusCode::OK).await;
    assert_eq!(renamed.name, "b");
    let stale = patch(Some(tag), rename).await;
    refused(stale, 412, "precondition_failed").await;
    for bad in [json!({ "name": null }), json!({ "intake": "sometimes" })] {
        refused(patch(Some("*"), bad).await, 422, "invalid").await;
    }
}

#[tokio::test]
async fn incredible_machines_are_refused() {
    let server = Server::start().await;
    let node = server.node();
    let mut facts = json!({ "version": "1", "cpu_features": ["x".repeat(200)] });
    let ask = |facts: &Value| json!({ "node_id": node.id, "name": "n", "threads": 1, "memory_bytes": 1, "facts": facts });
    let response = node.person.post("/v1/node/leases", &ask(&facts)).await;
    refused(response, 422, "invalid").await;
    facts["cpu_features"] = json!(["avx2"]);
    facts["devices"] =
        json!([{ "name": "cpu", "model": "CPU", "memory_bytes": 5, "gigaflops": 7 }]);
    server.person("ada").await.job().await;
    let response = node.person.post("/v1/node/leases", &ask(&facts)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let admin = server.confirmed("admin").await;
    let seen = read(&admin, &node.id).await;
    let device = seen.current[0].device.as_deref();
    assert_eq!(device, Some("cpu"), "it has no other");
    let told = seen.facts;
    assert_eq!(told.cpu_features, ["avx2"]);
    assert_eq!(told.devices[0].gigaflops, Some(7));
}

#[tokio::test]
async fn devices_of_one_node_hold_jobs_side_by_side() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let node = joined(&server, &admin, "gpus").await;
    let person = server.person("ada").await;
    for _ in 0..2 {
        person.job().await;
    }
    let device = |name: &str, memory: u64, free: u64| json!({ "name": name, "memory_bytes": memory, "free_memory_bytes": free });
    for incredible in [device("cuda:0", 5, 6), device("cuda\u{0}", 5, 5)] {
        let answer = node.ask_for(Some(incredible)).await;
        refused(answer, 422, "invalid").await;
    }
    let mut leases: Vec<Lease> = Vec::new();
    for (name, memory) in [("cuda:0", 1_000_000), ("cuda:1", 500_000)] {
        let answer = node.ask_for(Some(device(name, memory, memory))).await;
        leases.push(body(answer, StatusCode::OK).await);
    }
    assert_eq!(leases[0].required_memory_bytes, None, "nobody planned");
    let seen = read(&admin, &node.id).await;
    let held: BTreeSet<_> = seen.current.iter().map(|it| it.job_id).collect();
    let leased: BTreeSet<_> = leases.iter().map(|lease| lease.job_id).collect();
    assert_eq!((held.len(), &held), (2, &leased));
    assert_eq!(seen.memory_bytes, 1_000_000, "a job may use the largest");
    for (lease, device) in leases.iter().zip(["cuda:0", "cuda:1"]) {
        let attempt = seen.current.iter().find(|it| it.job_id == lease.job_id);
        let attempt = attempt.expect("it is held");
        assert_eq!(attempt.device.as_deref(), Some(device));
        assert!(!attempt.visible, "the operator cannot open others' jobs");
        let job: Job = person.read(&format!("/v1/jobs/{}", lease.job_id)).await;
        let place = job.place.expect("a node has it");
        assert_eq!(
            (place.node.as_str(), place.device.as_deref()),
            ("gpus", Some(device))
        );
    }
    // One is asked to end; the other one is not.
    let cancel = format!("/v1/jobs/{}/cancel", leases[0].job_id);
    let canceled = person.post(&cancel, &json!({})).await;
    assert!(canceled.status().is_success());
    let commands = [NodeCommand::Cancel, NodeCommand::Continue];
    for (lease, command) in leases.iter().zip(commands) {
        assert_eq!(node.beat(lease, json!([])).await.command, command);
    }
    let released = node.finish(&leases[0], json!({ "result": "canceled" }));
    assert_eq!(released.await, StatusCode::NO_CONTENT);
    let seen = read(&admin, &node.id).await;
    assert_eq!(seen.current.len(), 1);
    assert_eq!(seen.current[0].job_id, leases[1].job_id);
}
