//! Invitations: a letter with a token, accepted by the account whose address it went to.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter,
    QuerySelect, sea_query::LockType,
};
use shared::{InvitationId, OrganisationId, Timestamp, UserId, limits::MAX_MEMBERS, role::Role};

use crate::{
    Error, NewEmail, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    emails,
    entity::{
        invitation::{Column, Entity, Model},
        membership, user,
    },
    organisations,
    text::from_name,
};

/// What an invitation is made of.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Where it goes.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// Hash of the token in the letter.
    pub token_hash: String,
    /// Who invites.
    pub invited_by: UserId,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// An invitation that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRecord {
    /// Identifies the invitation.
    pub id: InvitationId,
    /// Where it went.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// When it was sent.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

impl TryFrom<Model> for InvitationRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: InvitationId::from_uuid(row.id),
            email: row.email,
            role: from_name("role", &row.role)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
        })
    }
}

fn owned(organisation: OrganisationId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::OrganisationId.eq(organisation.uuid()))
}

/// Whether the account with this address belongs to the organisation.
async fn is_member(
    connection: &impl ConnectionTrait,
    organisation: OrganisationId,
    email: &str,
) -> Result<bool, Error> {
    let person = user::Entity::find()
        .filter(user::Column::Email.eq(email))
        .one(connection)
        .await?;
    let Some(person) = person else {
        return Ok(false);
    };
    let row = membership::Entity::find_by_id((organisation.uuid(), person.id))
        .one(connection)
        .await?;
    Ok(row.is_some())
}

impl Store {
    /// Invites somebody and queues the letter; another invitation to the same address is replaced, and an open one
    /// keeps a seat.
    ///
    /// [`Error::MemberAlready`], [`Error::TooManyMembers`].
    pub async fn create_invitation(
        &self,
        organisation: OrganisationId,
        new: NewInvitation,
        letter: NewEmail,
        now: Timestamp,
    ) -> Result<InvitationRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            organisation_id: organisation.uuid(),
            email: new.email.trim().to_lowercase(),
            role: new.role.as_str().to_owned(),
            token_hash: new.token_hash,
            invited_by: Some(new.invited_by.uuid()),
            created_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, organisation).await?;
        if is_member(&transaction, organisation, &row.email).await? {
            transaction.rollback().await?;
            return Err(Error::MemberAlready);
        }
        let earlier = owned(organisation).filter(Column::Email.eq(&row.email));
        if let Some(earlier) = earlier.one(&transaction).await? {
            earlier.delete(&transaction).await?;
        }
        let open = owned(organisation).filter(Column::ExpiresAt.gt(now.milliseconds()));
        let seats = organisations::members(organisation.uuid())
            .count(&transaction)
            .await?
            + open.count(&transaction).await?;
        if seats >= MAX_MEMBERS {
            transaction.rollback().await?;
            return Err(Error::TooManyMembers);
        }
        insert(&transaction, row.clone()).await?;
        emails::enqueue(&transaction, letter, now).await?;
        let deed = Deed::new("invitation.created", InvitationId::from_uuid(row.id));
        let deed = deed.detail(row.role.clone());
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The open invitations of an organisation, newest first, from below `after`.
    pub async fn list_invitations(
        &self,
        organisation: OrganisationId,
        after: Option<InvitationId>,
        limit: u64,
    ) -> Result<Vec<InvitationRecord>, Error> {
        let query = owned(organisation);
        let rows = page(query, Column::Id, after.map(InvitationId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(InvitationRecord::try_from).collect()
    }

    /// Takes an invitation back; `false` where there is none.
    pub async fn delete_invitation(
        &self,
        organisation: OrganisationId,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::OrganisationId.eq(organisation.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let deed = Deed::new("invitation.withdrawn", id);
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes a person a member where the token belongs to an open invitation to their own address;
    /// `None` where it does not.
    pub async fn accept_invitation(
        &self,
        token_hash: &str,
        person: UserId,
        now: Timestamp,
    ) -> Result<Option<OrganisationId>, Error> {
        let transaction = self.begin().await?;
        let row = Entity::find()
            .filter(Column::TokenHash.eq(token_hash))
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let person = user::Entity::find_by_id(person.uuid())
            .one(&transaction)
            .await?;
        let (Some(row), Some(person)) = (row, person) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        if row.email != person.email {
            transaction.rollback().await?;
            return Ok(None);
        }
        let organisation = OrganisationId::from_uuid(row.organisation_id);
        organisations::lock(&transaction, organisation).await?;
        organisations::join(&transaction, row.organisation_id, person.id, &row.role, now).await?;
        let deed = Deed::new("member.joined", UserId::from_uuid(person.id));
        let deed = deed.detail(row.role.clone());
        row.delete(&transaction).await?;
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        Ok(Some(organisation))
    }
}
