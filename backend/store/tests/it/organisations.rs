//! Organisations, members and invitations; and what an older database becomes.

use futures::future::join_all;
use shared::{OrganisationId, UserId, limits::MAX_MEMBERS, role::Role};
use store::{Error, InvitationRecord, NewEmail, NewInvitation};

use crate::support::{Kind, World, at, on_both};

on_both!(
    everybody_owns_an_organisation_of_their_own,
    organisation_has_one_owner_at_every_moment,
    two_transfers_at_once_leave_one_owner,
    who_leaves_takes_keys_and_tokens_along,
    invitation_is_for_one_address_once,
    invitations_at_once_stay_within_the_seats,
    only_an_empty_organisation_can_be_deleted,
    members_share_sets_and_strangers_see_none,
);

async fn studio(world: &World, owner: UserId) -> OrganisationId {
    let founded = world
        .store
        .create_organisation(owner, "Studio", at(1))
        .await;
    founded.expect("it is founded").id
}

fn letter(to: &str) -> NewEmail {
    NewEmail {
        recipient: to.to_owned(),
        subject: "Come".to_owned(),
        body: "in".to_owned(),
    }
}

async fn invite(
    world: &World,
    organisation: OrganisationId,
    by: UserId,
    name: &str,
    role: Role,
) -> Result<InvitationRecord, Error> {
    let email = format!("{name}@example.org");
    let new = NewInvitation {
        email: email.clone(),
        role,
        token_hash: format!("token of {name}"),
        invited_by: by,
        expires_at: at(1000),
    };
    world
        .store
        .create_invitation(organisation, new, letter(&email), at(2))
        .await
}

async fn member(
    world: &World,
    organisation: OrganisationId,
    owner: UserId,
    name: &str,
    role: Role,
) -> UserId {
    let person = world.person(name).await;
    invite(world, organisation, owner, name, role)
        .await
        .unwrap();
    let token = format!("token of {name}");
    let joined = world.store.accept_invitation(&token, person, at(3)).await;
    assert_eq!(joined.unwrap(), Some(organisation));
    person
}

async fn roles(world: &World, organisation: OrganisationId) -> Vec<Role> {
    let members = world.store.list_members(organisation, None, 100).await;
    let mut roles: Vec<_> = members.unwrap().iter().map(|member| member.role).collect();
    roles.sort_by_key(|role| Role::ALL.iter().position(|known| known == role));
    roles
}

async fn everybody_owns_an_organisation_of_their_own(world: World) {
    let ada = world.person("ada").await;
    let own = OrganisationId::from_uuid(ada.uuid());
    let found = world.store.find_organisation(own).await.unwrap().unwrap();
    assert!(found.personal);
    assert_eq!(found.name, "ada");
    assert_eq!(
        world.store.find_role(ada, own).await.unwrap(),
        Some(Role::Owner)
    );
    let studio = studio(&world, ada).await;
    let all = world.store.list_organisations(ada, None, 9).await.unwrap();
    let ids: Vec<_> = all.iter().map(|(found, role)| (found.id, *role)).collect();
    assert_eq!(ids, [(studio, Role::Owner), (own, Role::Owner)]);
    let next = world.store.list_organisations(ada, Some(studio), 9).await;
    assert_eq!(next.unwrap().len(), 1);
    let eve = world.person("eve").await;
    assert_eq!(world.store.find_role(eve, studio).await.unwrap(), None);
}

async fn organisation_has_one_owner_at_every_moment(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    let bob = member(&world, studio, ada, "bob", Role::Viewer).await;
    let eve = world.person("eve").await;
    let owner_stays =
        |result: Result<bool, Error>| assert!(matches!(result, Err(Error::LastOwner)));
    owner_stays(store.remove_member(studio, ada, at(9)).await);
    owner_stays(store.change_role(studio, ada, Role::Viewer, at(9)).await);
    assert!(
        store
            .change_role(studio, bob, Role::Editor, at(9))
            .await
            .unwrap()
    );
    assert!(
        !store
            .change_role(studio, eve, Role::Editor, at(9))
            .await
            .unwrap()
    );
    assert!(
        !store
            .transfer_ownership(studio, bob, ada, at(9))
            .await
            .unwrap()
    );
    assert!(
        !store
            .transfer_ownership(studio, ada, eve, at(9))
            .await
            .unwrap()
    );
    assert!(
        !store
            .transfer_ownership(studio, ada, ada, at(9))
            .await
            .unwrap()
    );
    assert!(
        store
            .transfer_ownership(studio, ada, bob, at(9))
            .await
            .unwrap()
    );
    assert_eq!(roles(&world, studio).await, [Role::Owner, Role::Admin]);
    assert!(store.remove_member(studio, ada, at(9)).await.unwrap());
    assert!(!store.remove_member(studio, ada, at(9)).await.unwrap());
    owner_stays(store.remove_member(studio, bob, at(9)).await);
    // Who came, as what, and who went stays told, newest first.
    let told = store.list_audit_events(studio, None, 100).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.entry.action.as_str(), event.entry.detail.as_deref()))
        .collect();
    let heir = bob.to_string();
    assert_eq!(
        told,
        [
            ("member.removed", Some("admin")),
            ("organisation.transferred", Some(heir.as_str())),
            ("member.role_changed", Some("editor")),
            ("member.joined", Some("viewer")),
            ("invitation.created", Some("viewer")),
        ]
    );
}

async fn two_transfers_at_once_leave_one_owner(world: World) {
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    let mut heirs = Vec::new();
    for name in ["bob", "cyd", "dan"] {
        heirs.push(member(&world, studio, ada, name, Role::Admin).await);
    }
    let tries = heirs
        .iter()
        .map(|heir| world.store.transfer_ownership(studio, ada, *heir, at(9)));
    let given = join_all(tries).await;
    let given = given.into_iter().filter(|given| matches!(given, Ok(true)));
    assert_eq!(given.count(), 1);
    let roles = roles(&world, studio).await;
    assert_eq!(roles.iter().filter(|role| **role == Role::Owner).count(), 1);
}

async fn who_leaves_takes_keys_and_tokens_along(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    let bob = member(&world, studio, ada, "bob", Role::Admin).await;
    crate::credentials::key(&world, studio, bob, "secret of bob").await;
    let grant = store::Grant {
        user: bob,
        organisation: studio,
    };
    store
        .create_refresh_token("refresh of bob", grant, at(4), at(900))
        .await
        .unwrap();
    assert!(store.remove_member(studio, bob, at(9)).await.unwrap());
    let key = store
        .find_api_key_by_secret_any("secret of bob", at(5))
        .await;
    assert_eq!(key.unwrap(), None);
    let exchanged = store
        .exchange_refresh_token("refresh of bob", "next", at(5), at(900))
        .await;
    assert_eq!(exchanged.unwrap(), store::Exchanged::Unknown);
}

async fn invitation_is_for_one_address_once(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    let (bob, eve) = (world.person("bob").await, world.person("eve").await);
    let first = invite(&world, studio, ada, "bob", Role::Viewer)
        .await
        .unwrap();
    let second = invite(&world, studio, ada, "bob", Role::Editor)
        .await
        .unwrap();
    let open = store.list_invitations(studio, None, 9).await.unwrap();
    assert_eq!(
        open,
        std::slice::from_ref(&second),
        "the first one is replaced"
    );
    assert!(
        !store
            .delete_invitation(studio, first.id, at(9))
            .await
            .unwrap()
    );
    let accept = async |person, now| {
        store
            .accept_invitation("token of bob", person, at(now))
            .await
            .unwrap()
    };
    assert_eq!(accept(eve, 3).await, None, "another address");
    assert_eq!(accept(bob, 1000).await, None, "too late");
    let own = OrganisationId::from_uuid(eve.uuid());
    assert!(
        !store
            .delete_invitation(own, second.id, at(9))
            .await
            .unwrap()
    );
    assert_eq!(accept(bob, 3).await, Some(studio));
    assert_eq!(accept(bob, 4).await, None, "used up");
    assert_eq!(roles(&world, studio).await, [Role::Owner, Role::Editor]);
    let again = invite(&world, studio, ada, "bob", Role::Viewer).await;
    assert!(matches!(again, Err(Error::MemberAlready)));
    // Two letters went out, each in the transaction of its invitation.
    assert_eq!(store.list_due_emails(at(9), 9).await.unwrap().len(), 2);
}

async fn invitations_at_once_stay_within_the_seats(world: World) {
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    // One seat is the owner's, and one is left.
    for number in 2..MAX_MEMBERS {
        let name = format!("member{number}");
        let invited = invite(&world, studio, ada, &name, Role::Viewer).await;
        invited.unwrap();
    }
    let last = |number: u32| {
        let world = &world;
        async move { invite(world, studio, ada, &format!("last{number}"), Role::Viewer).await }
    };
    let invited = join_all((0..6).map(last)).await;
    let refused = invited
        .iter()
        .filter(|one| matches!(one, Err(Error::TooManyMembers)));
    assert_eq!(refused.count(), 5);
    let again = invite(&world, studio, ada, "member2", Role::Editor).await;
    again.expect("who was invited keeps the seat");
}

async fn only_an_empty_organisation_can_be_deleted(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let own = OrganisationId::from_uuid(ada.uuid());
    let studio = studio(&world, ada).await;
    let in_use = |result| assert!(matches!(result, Err(Error::OrganisationInUse)));
    in_use(store.delete_organisation(own, None).await);
    let set = world.draft(studio).await;
    in_use(store.delete_organisation(studio, None).await);
    assert!(store.delete_draft_set(studio, set, at(0)).await.unwrap());
    let renamed = store.delete_organisation(studio, Some("Old name")).await;
    assert!(matches!(renamed, Err(Error::Changed)));
    let seen = Some("Studio");
    store.delete_organisation(studio, seen).await.unwrap();
    assert_eq!(store.find_organisation(studio).await.unwrap(), None);
    assert_eq!(store.find_role(ada, studio).await.unwrap(), None);
}

async fn members_share_sets_and_strangers_see_none(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let studio = studio(&world, ada).await;
    let set = world.draft(studio).await;
    world.add_images(studio, set, 1).await;
    assert_eq!(store.list_sets(studio, None, 9).await.unwrap().len(), 1);
    let own = OrganisationId::from_uuid(ada.uuid());
    assert!(store.list_sets(own, None, 9).await.unwrap().is_empty());
    assert_eq!(store.find_set(own, set).await.unwrap(), None);
}

mod upgrade {
    use super::*;

    #[tokio::test]
    async fn sqlite_keeps_its_rows() {
        keeps_rows(Kind::Sqlite).await;
    }

    #[tokio::test]
    async fn postgres_keeps_its_rows() {
        keeps_rows(Kind::Postgres).await;
    }

    /// A person and a draft of before organisations: the draft belongs to the person's own, others
    /// can own sets too, and what nobody has founded owns nothing.
    async fn keeps_rows(kind: Kind) {
        let id = |number: u128| uuid::Uuid::from_u128(number);
        let sql = |id: uuid::Uuid| match kind {
            Kind::Sqlite => format!("x'{}'", id.simple()),
            Kind::Postgres => format!("'{id}'"),
        };
        let (user, set) = (sql(id(1)), sql(id(2)));
        let fill = format!(
            "INSERT INTO users VALUES ({user}, 'ada@example.org', 'Ada', 'hash', 7);
             INSERT INTO sessions VALUES ('token', {user}, 7, 99);
             INSERT INTO protected_sets VALUES ({set}, {user}, 'My dog', 'draft', NULL, NULL, 8);"
        );
        let Some(world) = World::upgraded(kind, &fill).await else {
            return;
        };
        let store = &world.store;
        let (ada, own) = (UserId::from_uuid(id(1)), OrganisationId::from_uuid(id(1)));
        assert_eq!(store.find_role(ada, own).await.unwrap(), Some(Role::Owner));
        let sets = store.list_sets(own, None, 9).await.unwrap();
        assert_eq!(sets.len(), 1);
        assert_eq!(sets[0].name, "My dog");
        let now = shared::Timestamp::from_milliseconds(50);
        let session = store.find_session("token", now).await.unwrap();
        let session = session.expect("nobody is signed out");
        assert_eq!((session.user_id, session.organisation_id), (ada, own));
        let studio = studio(&world, ada).await;
        assert_eq!(
            world.draft(studio).await,
            store.list_sets(studio, None, 9).await.unwrap()[0].id
        );
        let nobody = OrganisationId::from_uuid(id(9));
        assert!(store.create_set(nobody, "x", at(0)).await.is_err());
        let changed = store.change_role(own, ada, Role::Viewer, at(9)).await;
        assert!(matches!(changed, Err(Error::LastOwner)));
    }
}
