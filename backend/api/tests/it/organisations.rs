//! Organisations: together under roles, invited by letters, one owner at every moment.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    auth::{Session, User},
    organisation::{Invitation, Member, Organisation},
    page::Page,
    protected_set::ProtectedSet,
    role::Role,
};

use crate::support::{Person, Server, body, refused};

/// Founds an organisation and works in it from now on.
pub(crate) async fn studio(person: &mut Person<'_>) -> Organisation {
    let request = json!({ "name": "Studio" });
    let response = person.post("/v1/organisations", &request).await;
    let founded: Organisation = body(response, StatusCode::CREATED).await;
    person.organisation = Some(founded.id.to_string());
    founded
}

/// Has somebody new join an organisation by letter; they work in it from now on.
pub(crate) async fn join<'a>(
    server: &'a Server,
    owner: &Person<'_>,
    organisation: &Organisation,
    name: &str,
    role: &str,
) -> Person<'a> {
    let mut person = server.person(name).await;
    let path = format!("/v1/organisations/{}/invitations", organisation.id);
    let email = format!("{name}@example.org");
    let request = json!({ "email": email, "role": role });
    let invited = owner.post(&path, &request).await;
    let _: Invitation = body(invited, StatusCode::CREATED).await;
    let token = server.token(&email, "accept-invitation").await;
    let request = json!({ "token": token });
    let joined = person.post("/v1/invitations/accept", &request).await;
    let joined: Organisation = body(joined, StatusCode::OK).await;
    assert_eq!((joined.id, joined.role.as_str()), (organisation.id, role));
    person.organisation = Some(organisation.id.to_string());
    person
}

#[tokio::test]
async fn letters_of_an_organisation_have_a_limit_and_its_name_is_one_line() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    for name in ["Studio\r\nBcc: eve@example.org", "a\u{7f}b"] {
        let founded = ada
            .post("/v1/organisations", &json!({ "name": name }))
            .await;
        let problem = refused(founded, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["code"], "invalid_character");
    }
    let (first, second) = (studio(&mut ada).await, studio(&mut ada).await);
    ada.organisation = None;
    let invite = async |organisation: &Organisation, email: &str| {
        let path = format!("/v1/organisations/{}/invitations", organisation.id);
        let request = json!({ "email": email, "role": "viewer" });
        ada.post(&path, &request).await
    };
    let wrong = invite(&first, "nobody").await;
    refused(wrong, 422, "invalid").await;
    for _ in 0..50 {
        let invited = invite(&first, "bob@example.org").await;
        assert_eq!(invited.status(), StatusCode::CREATED);
    }
    let late = invite(&first, "cyd@example.org").await;
    assert!(late.headers().contains_key("retry-after"));
    refused(late, 429, "rate_limited").await;
    let other = invite(&second, "bob@example.org").await;
    assert_eq!(other.status(), StatusCode::CREATED);
    server.clock.advance(2 * 60_000);
    let later = invite(&first, "cyd@example.org").await;
    assert_eq!(later.status(), StatusCode::CREATED);
}

async fn id(person: &Person<'_>) -> String {
    person.read::<User>("/v1/me").await.id.to_string()
}

#[tokio::test]
async fn members_share_what_the_organisation_has() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let alone: ProtectedSet = ada.set("alone").await;
    let studio = studio(&mut ada).await;
    assert_eq!((studio.role, studio.personal), (Role::Owner, false));
    let editor = join(&server, &ada, &studio, "bob", "editor").await;
    let viewer = join(&server, &ada, &studio, "cyd", "viewer").await;
    let set = editor.set("together").await;
    for person in [&ada, &editor, &viewer] {
        let page: Page<ProtectedSet> = person.read("/v1/protected-sets").await;
        let ids: Vec<_> = page.data.iter().map(|set| set.id).collect();
        assert_eq!(ids, [set.id], "what is Ada's alone stays hers");
    }
    let path = format!("/v1/protected-sets/{}", set.id);
    refused(viewer.delete(&path).await, 403, "forbidden").await;
    refused(
        viewer
            .post("/v1/protected-sets", &json!({ "name": "x" }))
            .await,
        403,
        "forbidden",
    )
    .await;
    let eve = server.person("eve").await;
    refused(eve.get(&path).await, 404, "not_found").await;
    let mut intruder = server.person("mal").await;
    intruder.organisation = Some(studio.id.to_string());
    refused(intruder.get(&path).await, 404, "not_found").await;
    let alone = format!("/v1/protected-sets/{}", alone.id);
    refused(ada.get(&alone).await, 404, "not_found").await;
    ada.organisation = None;
    assert_eq!(ada.get(&alone).await.status(), StatusCode::OK);
    ada.organisation = Some("rubbish".into());
    refused(ada.get(&alone).await, 400, "malformed").await;
}

#[tokio::test]
async fn browser_remembers_the_organisation_that_it_works_in() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let studio = studio(&mut ada).await;
    ada.organisation = None;
    let change = json!({ "organisation_id": studio.id });
    let switched = ada.patch("/v1/sessions/current", &change).await;
    let session: Session = body(switched, StatusCode::OK).await;
    assert_eq!(
        (session.organisation_id, session.current),
        (studio.id, true)
    );
    let set = ada.set("in the studio").await;
    ada.organisation = Some(studio.id.to_string());
    assert_eq!(
        ada.get(&format!("/v1/protected-sets/{}", set.id))
            .await
            .status(),
        StatusCode::OK
    );
    let eve = server.person("eve").await;
    let switched = eve.patch("/v1/sessions/current", &change).await;
    refused(switched, 404, "not_found").await;
}

#[tokio::test]
async fn roles_change_and_ownership_moves() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let studio = studio(&mut ada).await;
    let bob = join(&server, &ada, &studio, "bob", "viewer").await;
    let (ada_id, bob_id) = (id(&ada).await, id(&bob).await);
    let own = format!("/v1/organisations/{}", studio.id);
    let member = |user: &str| format!("{own}/members/{user}");
    let role = json!({ "role": "admin" });
    refused(bob.patch(&member(&bob_id), &role).await, 403, "forbidden").await;
    let changed = ada.patch(&member(&bob_id), &role).await;
    assert_eq!(
        body::<Member>(changed, StatusCode::OK).await.role,
        Role::Admin
    );
    refused(
        bob.patch(&member(&ada_id), &json!({ "role": "viewer" }))
            .await,
        409,
        "conflict",
    )
    .await;
    refused(
        bob.patch(&member(&bob_id), &json!({ "role": "owner" }))
            .await,
        422,
        "invalid",
    )
    .await;
    refused(ada.delete(&member(&ada_id)).await, 409, "conflict").await;
    let give = json!({ "user_id": bob_id });
    refused(
        bob.post(&format!("{own}/transfer"), &give).await,
        403,
        "forbidden",
    )
    .await;
    let given = ada.post(&format!("{own}/transfer"), &give).await;
    assert_eq!(
        body::<Organisation>(given, StatusCode::OK).await.role,
        Role::Admin
    );
    let members: Page<Member> = bob.read(&format!("{own}/members")).await;
    let role_of = |user: &str| {
        let found = members
            .data
            .iter()
            .find(|member| member.user_id.to_string() == user);
        found.map(|member| member.role)
    };
    assert_eq!(
        (role_of(&ada_id), role_of(&bob_id)),
        (Some(Role::Admin), Some(Role::Owner))
    );
    assert_eq!(
        ada.delete(&member(&ada_id)).await.status(),
        StatusCode::NO_CONTENT
    );
    refused(ada.get(&own).await, 404, "not_found").await;
    refused(ada.get("/v1/protected-sets").await, 404, "not_found").await;
}

#[tokio::test]
async fn invitation_is_for_one_address_once() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let path = "/v1/organisations".to_owned();
    let own: Page<Organisation> = ada.read(&path).await;
    let personal = format!("{path}/{}/invitations", own.data[0].id);
    let request = json!({ "email": "bob@example.org", "role": "editor" });
    refused(ada.post(&personal, &request).await, 409, "conflict").await;
    let studio = studio(&mut ada).await;
    let path = format!("{path}/{}/invitations", studio.id);
    for bad in [
        json!({ "email": "bob", "role": "editor" }),
        json!({ "email": "bob@example.org", "role": "owner" }),
        json!({ "email": "bob@example.org", "role": "editor", "admin": true }),
    ] {
        refused(ada.post(&path, &bad).await, 422, "invalid").await;
    }
    let first: Invitation = body(ada.post(&path, &request).await, StatusCode::CREATED).await;
    let token = server.token("bob@example.org", "accept-invitation").await;
    let eve = server.person("eve").await;
    let accept = json!({ "token": token });
    refused(
        eve.post("/v1/invitations/accept", &accept).await,
        410,
        "gone",
    )
    .await;
    let gone = ada.delete(&format!("{path}/{}", first.id)).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let bob = server.person("bob").await;
    refused(
        bob.post("/v1/invitations/accept", &accept).await,
        410,
        "gone",
    )
    .await;
    let _: Invitation = body(ada.post(&path, &request).await, StatusCode::CREATED).await;
    let open: Page<Invitation> = ada.read(&path).await;
    assert_eq!(open.data.len(), 1);
    server.clock.advance(8 * 24 * 3600 * 1000);
    let late: Value =
        json!({ "token": server.token("bob@example.org", "accept-invitation").await });
    refused(bob.post("/v1/invitations/accept", &late).await, 410, "gone").await;
}

#[tokio::test]
async fn organisation_is_changed_by_who_read_it_and_deleted_when_empty() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let studio = studio(&mut ada).await;
    let path = format!("/v1/organisations/{}", studio.id);
    let rename = |tag: Option<&str>| {
        let request = ada
            .request(Method::PATCH, &path)
            .header("content-type", "application/merge-patch+json")
            .body(json!({ "name": "Atelier" }).to_string());
        match tag {
            Some(tag) => request.header("if-match", tag).send(),
            None => request.send(),
        }
    };
    refused(rename(None).await.unwrap(), 428, "precondition_required").await;
    refused(
        rename(Some("\"old\"")).await.unwrap(),
        412,
        "precondition_failed",
    )
    .await;
    let tag = ada.get(&path).await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let renamed = rename(Some(&tag)).await.unwrap();
    assert_eq!(
        body::<Organisation>(renamed, StatusCode::OK).await.name,
        "Atelier"
    );
    refused(
        rename(Some(&tag)).await.unwrap(),
        412,
        "precondition_failed",
    )
    .await;
    let set = ada.set("x").await;
    let delete = || {
        ada.request(Method::DELETE, &path)
            .header("if-match", "*")
            .send()
    };
    refused(delete().await.unwrap(), 409, "conflict").await;
    let removed = ada.delete(&format!("/v1/protected-sets/{}", set.id)).await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(delete().await.unwrap().status(), StatusCode::NO_CONTENT);
    refused(ada.get(&path).await, 404, "not_found").await;
}
