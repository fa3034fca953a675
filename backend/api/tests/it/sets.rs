//! Protected sets: drafts, sealing, other people's ids.

use reqwest::StatusCode;
use serde_json::json;
use shared::{
    page::Page,
    protected_set::{ProtectedSet, SetStatus},
    upload::Upload,
};

use crate::support::{Server, attestation, body, png, refused};

#[tokio::test]
async fn set_is_filled_sealed_and_then_immutable() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set(" My dog ").await;
    assert_eq!(
        (set.name.as_str(), set.status),
        ("My dog", SetStatus::Draft)
    );
    let path = format!("/v1/protected-sets/{}", set.id);
    let seal = format!("{path}/attestation");
    refused(person.put(&seal, &attestation()).await, 409, "conflict").await;
    for shade in 0..3 {
        let response = person.upload(&set, "a.png", &png(64, 48, shade)).await;
        let upload: Upload = body(response, StatusCode::OK).await;
        assert_eq!(upload.image.unwrap().width, 64);
    }
    let mut untrue = attestation();
    untrue["confirmed"] = json!(false);
    refused(person.put(&seal, &untrue).await, 422, "invalid").await;
    let sealed: ProtectedSet = body(person.put(&seal, &attestation()).await, StatusCode::OK).await;
    assert_eq!(sealed.status, SetStatus::Sealed);
    assert_eq!(sealed.images.len(), 3);
    assert_eq!(sealed.manifest_sha256.as_ref().unwrap().len(), 64);
    assert_eq!(
        sealed.attestation.as_ref().unwrap().declaration.name,
        "Ada Example"
    );
    assert_eq!(person.read::<ProtectedSet>(&path).await, sealed);
    refused(person.put(&seal, &attestation()).await, 409, "conflict").await;
    refused(person.delete(&path).await, 409, "conflict").await;
    refused(
        person.announce(&set, "b.png", &png(64, 64, 9)).await,
        409,
        "conflict",
    )
    .await;
    let image = format!("/v1/images/{}", sealed.images[0].id);
    refused(person.delete(&image).await, 409, "conflict").await;
}

#[tokio::test]
async fn draft_is_deleted_with_its_images() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let response = person.upload(&set, "a.png", &png(64, 64, 1)).await;
    let first = body::<Upload>(response, StatusCode::OK)
        .await
        .image
        .unwrap();
    let response = person.upload(&set, "b.png", &png(64, 64, 2)).await;
    let second = body::<Upload>(response, StatusCode::OK)
        .await
        .image
        .unwrap();
    let path = format!("/v1/images/{}", first.id);
    assert_eq!(person.delete(&path).await.status(), StatusCode::NO_CONTENT);
    refused(person.get(&first.url).await, 404, "not_found").await;
    let place = format!("/v1/protected-sets/{}", set.id);
    assert_eq!(person.read::<ProtectedSet>(&place).await.images.len(), 1);
    // A deleted picture may come again.
    let response = person.upload(&set, "a.png", &png(64, 64, 1)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(person.delete(&place).await.status(), StatusCode::NO_CONTENT);
    refused(person.get(&place).await, 404, "not_found").await;
    refused(person.get(&second.url).await, 404, "not_found").await;
}

#[tokio::test]
async fn another_persons_ids_do_not_exist() {
    let server = Server::start().await;
    let (ada, eve) = (server.person("ada").await, server.person("eve").await);
    let job = ada.job().await;
    let set = job.spec.concepts[0].protected_set_id;
    let draft = ada.set("draft").await;
    let image = ada
        .read::<ProtectedSet>(&format!("/v1/protected-sets/{set}"))
        .await
        .images
        .remove(0);
    let upload: Upload = body(
        ada.announce(&draft, "a.png", &png(64, 64, 1)).await,
        StatusCode::CREATED,
    )
    .await;
    for path in [
        format!("/v1/protected-sets/{set}"),
        format!("/v1/images/{}/content", image.id),
        format!("/v1/uploads/{}", upload.id),
        format!("/v1/jobs/{}", job.id),
        format!("/v1/jobs/{}/events", job.id),
        format!("/v1/jobs/{}/artifacts", job.id),
    ] {
        assert_eq!(
            ada.request(reqwest::Method::HEAD, &path)
                .send()
                .await
                .unwrap()
                .status(),
            200,
            "{path}"
        );
        refused(eve.get(&path).await, 404, "not_found").await;
        refused(server.stranger().get(&path).await, 401, "unauthenticated").await;
    }
    for path in [
        format!("/v1/uploads/{}/complete", upload.id),
        format!("/v1/jobs/{}/cancel", job.id),
        format!("/v1/jobs/{}/retry", job.id),
    ] {
        refused(eve.post(&path, &json!({})).await, 404, "not_found").await;
    }
    let seal = format!("/v1/protected-sets/{}/attestation", draft.id);
    refused(eve.put(&seal, &attestation()).await, 404, "not_found").await;
    refused(
        eve.delete(&format!("/v1/protected-sets/{}", draft.id))
            .await,
        404,
        "not_found",
    )
    .await;
    refused(
        eve.delete(&format!("/v1/images/{}", image.id)).await,
        404,
        "not_found",
    )
    .await;
    let problem = eve.announce(&draft, "a.png", &png(64, 64, 1)).await;
    assert!(problem.status().is_client_error());
    let spec = serde_json::to_value(&job.spec).unwrap();
    assert!(eve.launch(&spec, "k").await.status().is_client_error());
    let lists = ["/v1/protected-sets", "/v1/jobs", "/v1/galleries"];
    for path in lists {
        assert!(
            eve.read::<Page<serde_json::Value>>(path)
                .await
                .data
                .is_empty(),
            "{path}"
        );
    }
    for id in ["set_1", "x", "job_00000000000000000000000000000001", "%00"] {
        refused(
            ada.get(&format!("/v1/protected-sets/{id}")).await,
            404,
            "not_found",
        )
        .await;
    }
}

#[tokio::test]
async fn long_lists_are_walked_page_by_page() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let mut made = Vec::new();
    for index in 0..5 {
        made.push(person.set(&format!("set {index}")).await.id);
    }
    // Ids of one millisecond are in no particular order, but always in the same one.
    made.sort_by(|one, other| other.cmp(one));
    let mut seen = Vec::new();
    let mut path = "/v1/protected-sets?limit=2".to_owned();
    loop {
        let page: Page<ProtectedSet> = person.read(&path).await;
        seen.extend(page.data.iter().map(|set| set.id));
        assert_eq!(page.has_more, page.next_cursor.is_some());
        let Some(cursor) = page.next_cursor else {
            break;
        };
        path = format!("/v1/protected-sets?limit=2&after={cursor}");
    }
    assert_eq!(seen, made);
}
