//! Second factors: codes of an authenticator app (RFC 6238), and recovery codes for when it is lost.

use shared::{
    UserId,
    auth::{ConfirmTotp, CreateTotp, ProveIdentity, RecoveryCodes, TotpSetup},
    language::Language,
};
use totp_rs::{Builder, Secret, Totp};

use super::{App, letters, lockout};
use crate::{error::Error, secret};

mod secrets;

pub use secrets::Secrets;

const ISSUER: &str = "PersGuard";
const RECOVERY_CODES: usize = 10;
/// 62^12 is above 2^71: not to be guessed through the rate limit.
const RECOVERY_CHARACTERS: usize = 12;

/// SHA-1, six digits, thirty seconds, one step of skew: what every app understands.
fn totp(secret: &str, account: &str) -> Result<Totp, Error> {
    let secret =
        Secret::try_from_base32(secret).map_err(|_| Error::internal("a damaged secret"))?;
    Builder::new()
        .with_secret(secret)
        .with_issuer(Some(ISSUER))
        .with_account_name(account.replace(':', "_"))
        .build()
        .map_err(Error::internal)
}

fn seconds(app: &App) -> u64 {
    u64::try_from(app.now().milliseconds() / 1000).unwrap_or(0)
}

fn wrong_code() -> Error {
    Error::SecondFactorRequired(
        "The code is wrong, or was used before. Wait for the next one.".into(),
    )
}

/// Dashes and case are for people.
fn hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    secret::digest(&plain)
}

fn new_codes() -> (RecoveryCodes, Vec<String>) {
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| {
            let text = secret::random_base62(RECOVERY_CHARACTERS);
            format!("{}-{}-{}", &text[..4], &text[4..8], &text[8..])
        })
        .collect();
    let hashes = codes.iter().map(|code| hash(code)).collect();
    (RecoveryCodes { codes }, hashes)
}

/// Whether a code belongs to this account now; uses it up.
async fn accept(app: &App, user: UserId, kept: &str, code: &str) -> Result<bool, Error> {
    let code = code.trim();
    let secret = app.totp_secrets().secret(user, kept);
    if let Some(step) = totp(&secret, "")?.check(code, seconds(app)) {
        let step = i64::try_from(step).map_err(Error::internal)?;
        return Ok(app.store().use_totp_step(user, step).await?);
    }
    Ok(app.store().use_recovery_code(user, &hash(code)).await?)
}

/// Whether signing in takes a second factor.
pub(crate) async fn is_on(app: &App, user: UserId) -> Result<bool, Error> {
    let factor = app.store().find_second_factor(user).await?;
    Ok(factor.is_some_and(|factor| factor.confirmed_at.is_some()))
}

/// An account that an identity provider opened proves nothing by a password; its letters reach its owner alone.
fn no_password() -> Error {
    Error::wrong_proof(
        "#/password",
        "no_password",
        "This account has no password yet. Set one by letter (Forgot your password?), then use it here.",
    )
}

/// Refuses somebody who has a second factor and does not show it.
pub(crate) async fn require(app: &App, user: UserId, code: Option<&str>) -> Result<(), Error> {
    let factor = app.store().find_second_factor(user).await?;
    let Some(factor) = factor.filter(|factor| factor.confirmed_at.is_some()) else {
        return Ok(());
    };
    let Some(code) = code else {
        return Err(Error::SecondFactorRequired(
            "This account asks for a code of its authenticator app. Send it as `code`.".into(),
        ));
    };
    let subject = format!("code {user}");
    lockout::ensure_open(app, &subject).await?;
    if accept(app, user, &factor.secret, code).await? {
        // Many guesses at once may have come in before the lock fell.
        lockout::ensure_open(app, &subject).await?;
        return lockout::clear(app, &subject).await;
    }
    lockout::count(app, &subject).await?;
    Err(wrong_code())
}

/// Whether a password is the account's; who fails again and again waits, and an account without one says so.
pub(crate) async fn is_password(app: &App, user: UserId, password: String) -> Result<bool, Error> {
    let known = app.store().find_user(user).await?;
    let known = known.ok_or(Error::Unauthenticated)?;
    let subject = format!("password {user}");
    lockout::ensure_open(app, &subject).await?;
    let stored = known.password_hash.ok_or_else(no_password)?;
    if app.passwords().verify(password, Some(stored)).await? {
        lockout::ensure_open(app, &subject).await?;
        lockout::clear(app, &subject).await?;
        return Ok(true);
    }
    lockout::count(app, &subject).await?;
    Ok(false)
}

/// Refuses a password that is not the account's.
pub(crate) async fn require_password(
    app: &App,
    user: UserId,
    password: String,
) -> Result<(), Error> {
    if is_password(app, user, password).await? {
        return Ok(());
    }
    // The session is valid: this is no reason to sign in again.
    Err(Error::wrong_proof(
        "#/password",
        "wrong_password",
        "This is not your password.",
    ))
}

/// Begins to set up an app.
pub async fn begin(app: &App, user: UserId, request: CreateTotp) -> Result<TotpSetup, Error> {
    require_password(app, user, request.password).await?;
    let account = app.store().find_user(user).await?;
    let account = account.ok_or(Error::Unauthenticated)?;
    let seed = Secrets::seed();
    if !app.store().begin_second_factor(user, &seed).await? {
        return Err(Error::Conflict(
            "An authenticator app is set up already. Disable it first.".into(),
        ));
    }
    let secret = app.totp_secrets().secret(user, &seed);
    let uri = totp(&secret, &account.email)?;
    Ok(TotpSetup {
        uri: uri.to_url().map_err(Error::internal)?,
        secret,
    })
}

/// Puts the app into use once it shows a right code; gives recovery codes.
pub async fn confirm(
    app: &App,
    language: Language,
    user: UserId,
    request: &ConfirmTotp,
) -> Result<RecoveryCodes, Error> {
    let factor = app.store().find_second_factor(user).await?;
    let waiting = factor.filter(|factor| factor.confirmed_at.is_none());
    let Some(factor) = waiting else {
        return Err(Error::Conflict("Begin to set up an app first.".into()));
    };
    let secret = app.totp_secrets().secret(user, &factor.secret);
    let step = totp(&secret, "")?
        .check(request.code.trim(), seconds(app))
        .ok_or_else(|| {
            Error::wrong_proof(
                "#/code",
                "wrong_code",
                "The code is wrong. Check the clock of the device.",
            )
        })?;
    let step = i64::try_from(step).map_err(Error::internal)?;
    let (codes, hashes) = new_codes();
    let done = app
        .store()
        .confirm_second_factor(user, step, &hashes, app.now())
        .await?;
    if !done {
        return Err(Error::Conflict(
            "Another request did this meanwhile.".into(),
        ));
    }
    letters::tell(app, language, user, letters::Notice::SecondFactorOn).await?;
    Ok(codes)
}

async fn prove(app: &App, user: UserId, request: ProveIdentity) -> Result<(), Error> {
    require_password(app, user, request.password).await?;
    if !is_on(app, user).await? {
        return Err(Error::Conflict("No authenticator app is set up.".into()));
    }
    match require(app, user, Some(&request.code)).await {
        Err(Error::SecondFactorRequired(detail)) => {
            Err(Error::wrong_proof("#/code", "wrong_code", detail))
        }
        other => other,
    }
}

/// Ends the second factor.
pub async fn disable(
    app: &App,
    language: Language,
    user: UserId,
    request: ProveIdentity,
) -> Result<(), Error> {
    prove(app, user, request).await?;
    app.store().delete_second_factor(user, app.now()).await?;
    letters::tell(app, language, user, letters::Notice::SecondFactorOff).await
}

/// Makes new recovery codes; the old ones end.
pub async fn renew_codes(
    app: &App,
    user: UserId,
    request: ProveIdentity,
) -> Result<RecoveryCodes, Error> {
    prove(app, user, request).await?;
    let (codes, hashes) = new_codes();
    app.store()
        .replace_recovery_codes(user, &hashes, app.now())
        .await?;
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1, key "12345678901234567890": the last six of eight digits.
        let secret = Secret::from(b"12345678901234567890".to_vec()).to_base32();
        let totp = totp(&secret, "ada@example.org").unwrap();
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(totp.check(code, time), Some(time / 30), "{time}");
            assert_eq!(totp.check(code, time + 90), None, "{time}");
        }
    }

    #[test]
    fn recovery_codes_are_the_same_with_and_without_dashes() {
        let (codes, hashes) = new_codes();
        assert_eq!(codes.codes.len(), RECOVERY_CODES);
        for (code, stored) in codes.codes.iter().zip(&hashes) {
            assert_eq!(hash(&code.replace('-', " ")), *stored);
        }
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), RECOVERY_CODES);
    }
}
