//! Letters that accounts get, and the links in them: each token works once and ends with time.
//!
//! A link carries its token behind `#`: browsers do not send that part, so no log holds it. A letter is in the language
//! of the request that causes it; where none does, it would be English. `words` has what letters say.

use shared::{
    Timestamp, UserId,
    auth::{ChangePassword, ConfirmEmail, ConfirmPasswordReset, CreatePasswordReset},
    language::Language,
};
use store::{NewEmail, Purpose, UserRecord};

use super::{
    App, lockout,
    principal::{Credential, Principal},
    second_factors,
};
use crate::{error::Error, secret};

pub(crate) mod words;

use words::Letter;
pub(crate) use words::Notice;

const HOUR_MILLISECONDS: i64 = 3_600_000;
const VERIFY_HOURS: i64 = 48;
const RESET_HOURS: i64 = 1;

pub(crate) fn link(app: &App, page: &str, token: &str) -> String {
    let origin = app.public_url().trim_end_matches('/');
    format!("{origin}/{page}#token={token}")
}

pub(crate) fn hours_from_now(app: &App, hours: i64) -> Timestamp {
    app.later(hours * HOUR_MILLISECONDS)
}

/// A letter on its way to somebody.
pub(crate) fn addressed(recipient: String, letter: Letter) -> NewEmail {
    NewEmail {
        recipient,
        subject: letter.subject.to_owned(),
        body: letter.body,
    }
}

async fn send_link(
    app: &App,
    user: &UserRecord,
    purpose: Purpose,
    hours: i64,
    letter: impl FnOnce(&str) -> Letter,
) -> Result<(), Error> {
    let token = secret::random_text();
    let email = addressed(user.email.clone(), letter(&token));
    app.store()
        .create_one_time_token(
            (&secret::digest(&token), purpose),
            user.id,
            email,
            app.now(),
            hours_from_now(app, hours),
        )
        .await?;
    app.mail().wake();
    Ok(())
}

/// Sends the letter that confirms a new account's address.
pub(crate) async fn ask_to_verify(
    app: &App,
    language: Language,
    user: &UserRecord,
) -> Result<(), Error> {
    send_link(app, user, Purpose::VerifyEmail, VERIFY_HOURS, |token| {
        let link = link(app, "verify-email", token);
        words::confirmation(language, &user.name, &link, VERIFY_HOURS)
    })
    .await
}

/// Sends the letter of confirmation again.
pub async fn verify_again(app: &App, language: Language, user: UserId) -> Result<(), Error> {
    let known = app.store().find_user(user).await?;
    let known = known.ok_or(Error::Unauthenticated)?;
    if known.email_verified_at.is_some() {
        return Err(Error::Conflict("Your address is confirmed already.".into()));
    }
    ask_to_verify(app, language, &known).await
}

fn used_up() -> Error {
    Error::Gone("This link was used, has expired, or a newer one was sent.".into())
}

/// Confirms the address of the account that asks by the token of its letter.
pub async fn verify(app: &App, caller: UserId, request: &ConfirmEmail) -> Result<(), Error> {
    let token = secret::digest(&request.token);
    let verified = app.store().verify_email(&token, caller, app.now());
    match verified.await? {
        Some(owner) if owner == caller => Ok(()),
        Some(_) => Err(Error::Forbidden(
            "This link is for another account than yours. Sign in with the address that the letter went to.".into(),
        )),
        None => Err(used_up()),
    }
}

/// Sends a link to set a new password, if the address has an account and got few of these lately; the answer is the same
/// if not.
pub async fn ask_to_reset(
    app: &App,
    language: Language,
    request: &CreatePasswordReset,
) -> Result<(), Error> {
    let email = request.email.trim().to_lowercase();
    app.limits()
        .accounts
        .take(&format!("reset {email}"), app.now())?;
    let Some(user) = app.store().find_user_by_email(&email).await? else {
        return Ok(());
    };
    let letters = &app.limits().reset_letters;
    if letters.take(&user.id.to_string(), app.now()).is_err() {
        return Ok(());
    }
    send_link(app, &user, Purpose::ResetPassword, RESET_HOURS, |token| {
        let link = link(app, "reset-password", token);
        words::reset(language, &user.name, &link)
    })
    .await
}

/// Sets a new password by the token of a letter.
pub async fn reset(
    app: &App,
    language: Language,
    request: ConfirmPasswordReset,
) -> Result<(), Error> {
    Error::unless_valid(request.validate())?;
    let password = app.passwords().hash(request.password).await?;
    let token = secret::digest(&request.token);
    let email = app
        .store()
        .reset_password(&token, &password, app.now())
        .await?
        .ok_or_else(used_up)?;
    lockout::clear(app, &lockout::of_address(&email)).await?;
    if let Some(user) = app.store().find_user_by_email(&email).await? {
        tell(app, language, user.id, Notice::PasswordChanged).await?;
    }
    Ok(())
}

/// Changes the password of somebody who knows it; the session that asks stays.
pub async fn change(
    app: &App,
    language: Language,
    caller: &Principal,
    request: ChangePassword,
) -> Result<(), Error> {
    Error::unless_valid(request.validate())?;
    second_factors::require_password(app, caller.user, request.current_password)
        .await
        .map_err(at_current_password)?;
    let password = app.passwords().hash(request.new_password).await?;
    let kept = match &caller.credential {
        Credential::Session(token_hash) => Some(token_hash.as_str()),
        _ => None,
    };
    app.store()
        .change_password(caller.user, &password, kept, app.now())
        .await?;
    tell(app, language, caller.user, Notice::PasswordChanged).await
}

fn at_current_password(error: Error) -> Error {
    match error {
        Error::WrongProof(error) => {
            Error::wrong_proof("#/current_password", &error.code, error.detail)
        }
        other => other,
    }
}

/// Tells a person of something, in case it was not them.
pub(crate) async fn tell(
    app: &App,
    language: Language,
    user: UserId,
    notice: Notice,
) -> Result<(), Error> {
    let Some(user) = app.store().find_user(user).await? else {
        return Ok(());
    };
    let letter = words::notice(language, &user.name, notice, app.public_url());
    let letter = addressed(user.email, letter);
    app.store().enqueue_email(letter, app.now()).await?;
    app.mail().wake();
    Ok(())
}
