//! API keys: `pg_live_`, 30 random characters, and a checksum that tells a key from a look-alike.
//!
//! The form lets scanners of public repositories find leaked keys without asking this server.

use shared::{
    ApiKeyId, OrganisationId,
    api_key::{ApiKey, CreateApiKey, CreatedApiKey, RotateApiKey, Scope, UpdateApiKey, is_within},
    page::Page,
};
use store::{ApiKeyChange, ApiKeyRecord, NewApiKey};

use super::{
    App,
    paging::Paging,
    principal::{Credential, Principal},
};
use crate::{error::Error, etag::IfMatch, secret};

const PREFIX: &str = "pg_live_";
/// 62^30 is above 2^178.
const RANDOM_CHARACTERS: usize = 30;
/// A CRC-32 takes at most six digits in base 62.
const CHECKSUM_CHARACTERS: usize = 6;
const HINT_CHARACTERS: usize = PREFIX.len() + 4;
const DAY_MILLISECONDS: i64 = 24 * 3_600_000;
const HOUR_MILLISECONDS: i64 = 3_600_000;

fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = secret::BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// A new secret.
fn generate() -> String {
    let random = secret::random_base62(RANDOM_CHARACTERS);
    format!("{PREFIX}{random}{}", checksum(&random))
}

/// Whether a bearer credential has the form of a key: everything else is an access token.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Whether a text can be a key at all; keeps mistyped ones away from the database.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return false;
    };
    rest.is_ascii()
        && rest.len() == RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
        && checksum(&rest[..RANDOM_CHARACTERS]) == rest[RANDOM_CHARACTERS..]
}

/// The key that a secret opens now.
pub(crate) async fn open(app: &App, text: &str) -> Result<ApiKeyRecord, Error> {
    if !is_well_formed(text) {
        return Err(Error::Unauthenticated);
    }
    app.store()
        .find_api_key_by_secret_any(&secret::digest(text), app.now())
        .await?
        .ok_or(Error::Unauthenticated)
}

fn view(key: ApiKeyRecord) -> ApiKey {
    ApiKey {
        id: key.id,
        name: key.name,
        hint: key.hint,
        scopes: key.scopes,
        allowed_addresses: key.allowed_addresses,
        created_by: key.user_id,
        created_at: key.created_at,
        expires_at: key.expires_at,
        previous_until: key.previous_until,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}

/// A person may grant every scope, a key its own.
fn require_scopes(caller: &Principal, scopes: &[Scope]) -> Result<(), Error> {
    scopes
        .iter()
        .try_for_each(|scope| caller.require_scope(*scope))
}

/// A person may let a key be used from anywhere, a key only from where it works itself.
fn require_addresses(caller: &Principal, blocks: &[String]) -> Result<(), Error> {
    match &caller.credential {
        Credential::Key(key) if !is_within(blocks, &key.allowed_addresses) => {
            let own = key.allowed_addresses.join(", ");
            Err(Error::Forbidden(format!(
                "This API key works from {own} alone, and gives no key more than that. Name addresses within, or sign in."
            )))
        }
        _ => Ok(()),
    }
}

/// Makes a key. A key makes no key that may do more than itself, from more places, or for longer: one that names no
/// addresses gets its maker's, and it ends with its maker at the latest.
pub async fn create(
    app: &App,
    maker: &Principal,
    mut request: CreateApiKey,
) -> Result<CreatedApiKey, Error> {
    Error::unless_valid(request.validate())?;
    require_scopes(maker, &request.scopes)?;
    let mut expires_at = app.later(i64::from(request.expires_in_days) * DAY_MILLISECONDS);
    if let Credential::Key(key) = &maker.credential {
        expires_at = expires_at.min(key.expires_at);
        if request.allowed_addresses.is_empty() {
            request.allowed_addresses.clone_from(&key.allowed_addresses);
        }
    }
    require_addresses(maker, &request.allowed_addresses)?;
    let secret = generate();
    let mut scopes = request.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let new = NewApiKey {
        user_id: maker.user,
        name: request.name.trim().to_owned(),
        hint: secret[..HINT_CHARACTERS].to_owned(),
        secret_hash: secret::digest(&secret),
        scopes,
        allowed_addresses: request.allowed_addresses,
        expires_at,
    };
    let key = app
        .store()
        .create_api_key(maker.organisation, new, app.now())
        .await?;
    tracing::info!(key.id = %key.id, organisation.id = %maker.organisation, "an API key was made");
    Ok(CreatedApiKey {
        api_key: view(key),
        secret,
    })
}

/// The organisation's keys, newest first.
pub async fn list(
    app: &App,
    organisation: OrganisationId,
    paging: &Paging,
) -> Result<Page<ApiKey>, Error> {
    let keys = app
        .store()
        .list_api_keys(organisation, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(keys.into_iter().map(view).collect(), |key| key.id))
}

/// A key of the organisation.
pub async fn find(app: &App, organisation: OrganisationId, id: ApiKeyId) -> Result<ApiKey, Error> {
    let key = app.store().find_api_key(organisation, id).await?;
    key.map(view).ok_or(Error::NotFound)
}

/// Changes a key's name or addresses, if it still is what the caller read. A key loosens neither itself nor one that may
/// do more.
pub async fn update(
    app: &App,
    caller: &Principal,
    id: ApiKeyId,
    condition: &IfMatch,
    request: &UpdateApiKey,
) -> Result<ApiKey, Error> {
    Error::unless_valid(request.validate())?;
    let organisation = caller.organisation;
    let seen = app.store().find_api_key(organisation, id).await?;
    let seen = seen.ok_or(Error::NotFound)?;
    if let Some(blocks) = &request.allowed_addresses {
        require_scopes(caller, &seen.scopes)?;
        require_addresses(caller, blocks)?;
    }
    condition.check(&view(seen.clone()))?;
    let seen = condition.names_one().then_some(&seen);
    let change = ApiKeyChange {
        name: request.name.as_deref().map(str::trim),
        allowed_addresses: request.allowed_addresses.as_deref(),
    };
    let changed = app
        .store()
        .update_api_key(organisation, id, seen, change, app.now())
        .await?;
    if !changed {
        return Err(Error::Conflict("This key was revoked.".into()));
    }
    find(app, organisation, id).await
}

/// Gives a key another secret; the old one works for the overlap.
///
/// The new secret acts as the key's maker: nobody else gets it, nor a key that may do less, from fewer places or not as
/// long.
pub async fn rotate(
    app: &App,
    caller: &Principal,
    id: ApiKeyId,
    request: &RotateApiKey,
) -> Result<CreatedApiKey, Error> {
    Error::unless_valid(request.validate())?;
    let organisation = caller.organisation;
    let key = find(app, organisation, id).await?;
    if key.created_by != caller.user {
        return Err(Error::Forbidden(
            "Only who made a key can rotate it. Revoke it, and make one of your own.".into(),
        ));
    }
    require_scopes(caller, &key.scopes)?;
    require_addresses(caller, &key.allowed_addresses)?;
    if matches!(&caller.credential, Credential::Key(own) if own.expires_at < key.expires_at) {
        return Err(Error::Forbidden(
            "The key to rotate works longer than this API key does. Sign in to rotate it.".into(),
        ));
    }
    let secret = generate();
    let until = app.later(i64::from(request.overlap_hours) * HOUR_MILLISECONDS);
    let fresh = secret::digest(&secret);
    let key = app
        .store()
        .rotate_api_key(
            organisation,
            id,
            (&fresh, &secret[..HINT_CHARACTERS]),
            until,
            app.now(),
        )
        .await?
        .ok_or_else(|| Error::Conflict("This key was revoked or has expired.".into()))?;
    Ok(CreatedApiKey {
        api_key: view(key),
        secret,
    })
}

/// Revokes a key; again is no harm.
pub async fn revoke(app: &App, organisation: OrganisationId, id: ApiKeyId) -> Result<(), Error> {
    let now = app.now();
    if !app.store().revoke_api_key(organisation, id, now).await? {
        return Err(Error::NotFound);
    }
    tracing::info!(key.id = %id, organisation.id = %organisation, "an API key was revoked");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_carries_its_own_checksum() {
        let key = generate();
        assert!(
            key.starts_with("pg_live_") && key.len() == 8 + 30 + 6,
            "{key}"
        );
        assert!(is_well_formed(&key));
        assert_ne!(key, generate());
        for position in PREFIX.len()..key.len() {
            let mut other = key.clone().into_bytes();
            other[position] = if other[position] == b'x' { b'y' } else { b'x' };
            assert!(
                !is_well_formed(&String::from_utf8(other).unwrap()),
                "{position}"
            );
        }
        for bad in [
            "",
            "pg_live_",
            "pg_test_x",
            "pg_live_ü",
            &key[..key.len() - 1],
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn damaged_keys_are_not_looked_up() {
        let key = format!("{PREFIX}{0}{1}", "a".repeat(30), checksum(&"a".repeat(30)));
        crate::damage::each(&[&key], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(is_well_formed(&text), text == key, "{text}");
        });
    }

    #[test]
    fn checksum_is_crc32_in_base62() {
        // The algorithm's check value, 0xCBF43926, in the digits 0-9A-Za-z.
        assert_eq!(checksum("123456789"), "3jZRME");
    }
}
