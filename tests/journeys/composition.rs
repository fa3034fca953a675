//! `docker/compose.yaml` as plain processes: somebody signs up at one server, a node of the composition does their job
//! with the pictures of the bucket, and the other server shows what came out.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{
    Composition, Person,
    machine::{administrator_at, set_intake},
    person::expect,
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    JobId, NodeId,
    gallery::Gallery,
    job::JobStatus,
    page::Page,
    training_node::{CreatedNode, NodeAttempt, NodeIntake, NodeOrigin, NodeStatus, TrainingNode},
};

const EMAIL: &str = "person@example.org";
const NODES: [&str; 2] = ["node-1", "node-2"];
const LIMIT: Duration = Duration::from_mins(1);

/// Makes the nodes that the file has, and takes the one beside the server off work, as its comments tell.
async fn join(composition: &Composition, admin: &Person) -> Result<Vec<NodeId>> {
    let mut ids = Vec::new();
    for name in NODES {
        let request = json!({ "name": name });
        let made: CreatedNode = admin
            .send(Method::POST, "/v1/nodes", &request, StatusCode::CREATED)
            .await?;
        let said = composition.join(name, &made.join_token)?;
        ensure!(said.starts_with("Joined "), "{said}");
        ids.push(made.node.id);
    }
    let local = until("the node beside the server", LIMIT, || async {
        let nodes: Page<TrainingNode> = admin.get("/v1/nodes").await?;
        let mut nodes = nodes.data.into_iter();
        Ok(nodes.find(|node| node.origin == NodeOrigin::Local))
    });
    set_intake(admin, local.await?.id, NodeIntake::Draining).await?;
    Ok(ids)
}

/// The jobs that these nodes brought to their end.
async fn done(admin: &Person, nodes: &[NodeId]) -> Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for node in nodes {
        let path = format!("/v1/nodes/{node}/attempts?limit=100");
        let attempts: Page<NodeAttempt> = admin.get(&path).await?;
        let attempts = attempts.data.into_iter();
        let ended = attempts.filter(|it| it.ended_as == Some(JobStatus::Succeeded));
        jobs.extend(ended.map(|it| it.job_id));
    }
    Ok(jobs)
}

/// Waits until a server says that it hears the broker.
async fn hears_the_broker(url: &str, token: &str) -> Result<()> {
    until("the broker to be heard", LIMIT, || async {
        let request = reqwest::Client::new().get(format!("{url}/metrics"));
        let answer = expect(request.bearer_auth(token).send().await?, StatusCode::OK).await?;
        let text = answer.text().await?;
        let mut lines = text.lines();
        Ok(lines
            .find(|line| *line == "persguard_broker_connected 1")
            .map(drop))
    })
    .await
}

/// Every file below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn a_misspelt_variable_of_the_composition_is_found() -> Result<()> {
    let text = Composition::text()?;
    let misspelt = text.replace("PERSGUARD_PUBLIC_URL:", "PERSGUARD_PUBLIC_ULR:");
    ensure!(misspelt != text, "it names no address");
    let composition = Composition::prepare(misspelt)?;
    for service in ["api", "api-2"] {
        let refused = composition.check_settings(service).err();
        let refused = refused.context("it went through")?.to_string();
        assert_eq!(
            refused,
            format!("{service} does not know [\"PERSGUARD_PUBLIC_ULR\"]")
        );
    }
    composition.check_settings("node-1")
}

#[tokio::test]
async fn the_composition_works_as_plain_processes() -> Result<()> {
    let mut composition = Composition::prepare(Composition::text()?)?;
    for service in ["api", "api-2", "node-1", "node-2"] {
        composition.check_settings(service)?;
    }
    composition.up(None)?;
    assert_eq!(composition.check_health()?, ["api", "postgres"]);
    eprintln!("S3 by {}", composition.s3_server());
    composition.run("api", &["config", "check"])?;
    let url = composition.url("api", 7740)?;
    let data = composition.path("api", "/var/lib/persguard")?;
    let admin = administrator_at(&url, &data).await?;
    let nodes = join(&composition, &admin).await?;
    composition.up(Some("replicas"))?;
    composition.up(Some("nodes"))?;
    let second = composition.url("api-2", 7740)?;
    let token = fs::read_to_string(composition.path("api", "/run/secrets/metrics-token")?)?;
    for server in [&url, &second] {
        hears_the_broker(server, token.trim()).await?;
    }
    for node in &nodes {
        until("the node to be online", LIMIT, || async {
            let node: TrainingNode = admin.get(&format!("/v1/nodes/{node}")).await?;
            Ok((node.status == NodeStatus::Online).then_some(()))
        })
        .await?;
    }

    let person = Person::sign_up_at(&url, EMAIL).await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let job = person.launch(&spec, "once").await?.id;
    let protect = person.wait_for(job, JobStatus::Succeeded, 300).await?;
    let evaluation = protect.evaluation_id.context("no evaluation follows")?;
    let reader = Person::sign_in(&second, EMAIL).await?;
    let evaluation = reader
        .wait_for(evaluation, JobStatus::Succeeded, 300)
        .await?;
    let gallery = evaluation.gallery_id.context("no gallery")?;
    let gallery: Gallery = reader.get(&format!("/v1/galleries/{gallery}")).await?;
    ensure!(!gallery.pairs.is_empty(), "there is nothing to look at");
    for pair in &gallery.pairs {
        for image in [&pair.clean, &pair.protected] {
            let picture = reader.download(&image.url).await?;
            ensure!(picture.starts_with(b"\x89PNG"), "{} is no PNG", image.url);
        }
    }

    let done = done(&admin, &nodes).await?;
    for job in [protect.id, evaluation.id] {
        ensure!(done.contains(&job), "no node of the composition did {job}");
    }
    let kept = files(&data.join("artifacts/objects"))?;
    ensure!(kept.is_empty(), "not in the bucket: {kept:?}");
    let asked = composition.check_health()?;
    assert_eq!(asked, ["api", "api-2", "node-1", "node-2", "postgres"]);
    Ok(())
}
