//! Organisations and their members: the tenant that every other finder takes.
//!
//! There is always exactly one owner: roles that are given exclude it, and a transfer moves it.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{
    OrganisationId, Timestamp, UserId,
    limits::{MAX_MEMBERS, MAX_ORGANISATIONS},
    role::Role,
};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{api_key, membership, organisation, protected_set, refresh_token, session, user},
    text::from_name,
};

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationRecord {
    /// Identifies the organisation.
    pub id: OrganisationId,
    /// What its members call it.
    pub name: String,
    /// Whether it is one person's own.
    pub personal: bool,
    /// When it was founded.
    pub created_at: Timestamp,
}

impl From<organisation::Model> for OrganisationRecord {
    fn from(row: organisation::Model) -> Self {
        Self {
            id: OrganisationId::from_uuid(row.id),
            name: row.name,
            personal: row.personal_user_id.is_some(),
            created_at: Timestamp::from_milliseconds(row.created_at),
        }
    }
}

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// The person.
    pub user_id: UserId,
    /// Their address.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they are in the organisation.
    pub role: Role,
    /// When they joined.
    pub created_at: Timestamp,
}

fn member((row, person): (membership::Model, Option<user::Model>)) -> Result<MemberRecord, Error> {
    let person = person.ok_or_else(|| Error::Corrupt {
        what: "membership",
        detail: row.user_id.to_string(),
    })?;
    Ok(MemberRecord {
        user_id: UserId::from_uuid(row.user_id),
        email: person.email,
        name: person.name,
        role: from_name("role", &row.role)?,
        created_at: Timestamp::from_milliseconds(row.created_at),
    })
}

/// Locks an organisation until the transaction ends: what counts its rows goes one at a time.
///
/// On SQLite every transaction of the writer goes one at a time.
pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
) -> Result<(), Error> {
    if connection.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    organisation::Entity::find_by_id(owner.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(connection)
        .await?;
    Ok(())
}

/// Founds an organisation with one member, its owner.
pub(crate) async fn found(
    connection: &impl ConnectionTrait,
    row: organisation::Model,
    founder: Uuid,
) -> Result<(), Error> {
    let owner = membership::Model {
        organisation_id: row.id,
        user_id: founder,
        role: Role::Owner.as_str().to_owned(),
        created_at: row.created_at,
    };
    insert(connection, row).await?;
    Ok(insert(connection, owner).await?)
}

/// Adds a member, unless the organisation or the person has as many as it may.
pub(crate) async fn join(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    user: Uuid,
    role: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let members = members(organisation).count(connection).await?;
    let own = of(user).count(connection).await?;
    if members >= MAX_MEMBERS || own >= MAX_ORGANISATIONS {
        return Err(Error::TooManyMembers);
    }
    let row = membership::Model {
        organisation_id: organisation,
        user_id: user,
        role: role.to_owned(),
        created_at: now.milliseconds(),
    };
    insert(connection, row)
        .await
        .map_err(|error| Error::or_unique(error, Error::MemberAlready))
}

pub(crate) fn members(organisation: Uuid) -> sea_orm::Select<membership::Entity> {
    membership::Entity::find().filter(membership::Column::OrganisationId.eq(organisation))
}

fn of(user: Uuid) -> sea_orm::Select<membership::Entity> {
    membership::Entity::find().filter(membership::Column::UserId.eq(user))
}

async fn set_role(
    connection: &impl ConnectionTrait,
    organisation: OrganisationId,
    user: UserId,
    role: Role,
) -> Result<bool, Error> {
    let changed = membership::Entity::update_many()
        .col_expr(membership::Column::Role, Expr::value(role.as_str()))
        .filter(membership::Column::OrganisationId.eq(organisation.uuid()))
        .filter(membership::Column::UserId.eq(user.uuid()))
        .exec(connection)
        .await?;
    Ok(changed.rows_affected > 0)
}

async fn role_of(
    connection: &impl ConnectionTrait,
    organisation: OrganisationId,
    user: UserId,
) -> Result<Option<Role>, Error> {
    membership::Entity::find_by_id((organisation.uuid(), user.uuid()))
        .one(connection)
        .await?
        .map(|row| from_name("role", &row.role))
        .transpose()
}

/// Whether a person owns an organisation beside their own; none that they belong to changes hands until the transaction
/// ends.
pub(crate) async fn owns_another(
    connection: &impl ConnectionTrait,
    person: UserId,
) -> Result<bool, Error> {
    let others = || of(person.uuid()).filter(membership::Column::OrganisationId.ne(person.uuid()));
    let joined = others().order_by_asc(membership::Column::OrganisationId);
    for row in joined.all(connection).await? {
        lock(connection, OrganisationId::from_uuid(row.organisation_id)).await?;
    }
    let owned = others().filter(membership::Column::Role.eq(Role::Owner.as_str()));
    Ok(owned.count(connection).await? > 0)
}

/// Ends what a person could do in an organisation that they are no longer in.
async fn expel(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    user: Uuid,
) -> Result<(), Error> {
    membership::Entity::delete_by_id((organisation, user))
        .exec(connection)
        .await?;
    api_key::Entity::delete_many()
        .filter(api_key::Column::OrganisationId.eq(organisation))
        .filter(api_key::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    refresh_token::Entity::delete_many()
        .filter(refresh_token::Column::OrganisationId.eq(organisation))
        .filter(refresh_token::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    session::Entity::update_many()
        .col_expr(session::Column::OrganisationId, Expr::value(None::<Uuid>))
        .filter(session::Column::OrganisationId.eq(organisation))
        .filter(session::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Founds an organisation that a person owns; [`Error::TooManyMembers`] at the person's limit.
    pub async fn create_organisation(
        &self,
        founder: UserId,
        name: &str,
        now: Timestamp,
    ) -> Result<OrganisationRecord, Error> {
        let row = organisation::Model {
            id: new_uuid(now),
            name: name.to_owned(),
            personal_user_id: None,
            created_at: now.milliseconds(),
        };
        let transaction = self.begin().await?;
        // The person's own organisation stands for the person: foundings go one at a time.
        lock(&transaction, OrganisationId::from_uuid(founder.uuid())).await?;
        if of(founder.uuid()).count(&transaction).await? >= MAX_ORGANISATIONS {
            transaction.rollback().await?;
            return Err(Error::TooManyMembers);
        }
        found(&transaction, row.clone(), founder.uuid()).await?;
        transaction.commit().await?;
        Ok(row.into())
    }

    /// The organisations that a person belongs to with their role, newest first, from below `after`.
    pub async fn list_organisations(
        &self,
        user: UserId,
        after: Option<OrganisationId>,
        limit: u64,
    ) -> Result<Vec<(OrganisationRecord, Role)>, Error> {
        let query = of(user.uuid());
        let rows = page(
            query,
            membership::Column::OrganisationId,
            after.map(OrganisationId::uuid),
            limit,
        )
        .find_also_related(organisation::Entity)
        .all(&self.reader)
        .await?;
        rows.into_iter()
            .filter_map(|(row, found)| found.map(|found| (row, found)))
            .map(|(row, found)| Ok((found.into(), from_name("role", &row.role)?)))
            .collect()
    }

    /// What a person is in an organisation; `None` where they do not belong to it.
    pub async fn find_role(
        &self,
        user: UserId,
        organisation: OrganisationId,
    ) -> Result<Option<Role>, Error> {
        role_of(&self.reader, organisation, user).await
    }

    /// Finds the organisation that a caller was found to belong to.
    pub async fn find_organisation(
        &self,
        id: OrganisationId,
    ) -> Result<Option<OrganisationRecord>, Error> {
        let row = organisation::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?;
        Ok(row.map(OrganisationRecord::from))
    }

    /// Gives an organisation another name; [`Error::Changed`] where the name is not the one that was seen.
    pub async fn rename_organisation(
        &self,
        id: OrganisationId,
        seen: Option<&str>,
        name: &str,
    ) -> Result<(), Error> {
        let mut update = organisation::Entity::update_many()
            .col_expr(organisation::Column::Name, Expr::value(name))
            .filter(organisation::Column::Id.eq(id.uuid()));
        if let Some(seen) = seen {
            update = update.filter(organisation::Column::Name.eq(seen));
        }
        let changed = update.exec(self.writer()).await?.rows_affected;
        (changed > 0).then_some(()).ok_or(Error::Changed)
    }

    /// Deletes an organisation that holds no set; [`Error::OrganisationInUse`] where it does or is a person's own,
    /// [`Error::Changed`] where its name is not the one that was seen.
    pub async fn delete_organisation(
        &self,
        id: OrganisationId,
        seen: Option<&str>,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        lock(&transaction, id).await?;
        if let Some(seen) = seen {
            let same = organisation::Entity::find_by_id(id.uuid())
                .filter(organisation::Column::Name.eq(seen))
                .count(&transaction)
                .await?;
            if same == 0 {
                transaction.rollback().await?;
                return Err(Error::Changed);
            }
        }
        let sets = protected_set::Entity::find()
            .filter(protected_set::Column::OwnerId.eq(id.uuid()))
            .count(&transaction)
            .await?;
        let personal = organisation::Entity::find_by_id(id.uuid())
            .filter(organisation::Column::PersonalUserId.is_not_null())
            .count(&transaction)
            .await?;
        if sets + personal > 0 {
            transaction.rollback().await?;
            return Err(Error::OrganisationInUse);
        }
        organisation::Entity::delete_by_id(id.uuid())
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The members of an organisation, newest account first, from below `after`.
    pub async fn list_members(
        &self,
        organisation: OrganisationId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<MemberRecord>, Error> {
        let query = members(organisation.uuid());
        let rows = page(
            query,
            membership::Column::UserId,
            after.map(UserId::uuid),
            limit,
        )
        .find_also_related(user::Entity)
        .all(&self.reader)
        .await?;
        rows.into_iter().map(member).collect()
    }

    /// Finds a member of an organisation.
    pub async fn find_member(
        &self,
        organisation: OrganisationId,
        user: UserId,
    ) -> Result<Option<MemberRecord>, Error> {
        membership::Entity::find_by_id((organisation.uuid(), user.uuid()))
            .find_also_related(user::Entity)
            .one(&self.reader)
            .await?
            .map(member)
            .transpose()
    }

    /// Gives a member another role; `false` where there is none, [`Error::LastOwner`] for the owner.
    pub async fn change_role(
        &self,
        organisation: OrganisationId,
        user: UserId,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        lock(&transaction, organisation).await?;
        if role_of(&transaction, organisation, user).await? == Some(Role::Owner) {
            transaction.rollback().await?;
            return Err(Error::LastOwner);
        }
        let changed = set_role(&transaction, organisation, user, role).await?;
        if changed {
            let deed = Deed::new("member.role_changed", user).detail(role.as_str());
            audit::record(&transaction, organisation, deed, now).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Removes a member with the keys and tokens that they made there; `false` where there is none,
    /// [`Error::LastOwner`] for the owner.
    pub async fn remove_member(
        &self,
        organisation: OrganisationId,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        lock(&transaction, organisation).await?;
        let role = role_of(&transaction, organisation, user).await?;
        match role {
            None | Some(Role::Owner) => {
                transaction.rollback().await?;
                role.map_or(Ok(false), |_| Err(Error::LastOwner))
            }
            Some(role) => {
                expel(&transaction, organisation.uuid(), user.uuid()).await?;
                let deed = Deed::new("member.removed", user).detail(role.as_str());
                audit::record(&transaction, organisation, deed, now).await?;
                transaction.commit().await?;
                Ok(true)
            }
        }
    }

    /// Makes another member the owner and the owner an administrator; `false` where the first is no
    /// owner or the second no member.
    pub async fn transfer_ownership(
        &self,
        organisation: OrganisationId,
        from: UserId,
        to: UserId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        lock(&transaction, organisation).await?;
        let owner = role_of(&transaction, organisation, from).await?;
        let member = role_of(&transaction, organisation, to).await?;
        if owner != Some(Role::Owner) || member.is_none() || from == to {
            transaction.rollback().await?;
            return Ok(false);
        }
        set_role(&transaction, organisation, from, Role::Admin).await?;
        set_role(&transaction, organisation, to, Role::Owner).await?;
        let deed = Deed::new("organisation.transferred", organisation).detail(to.to_string());
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
