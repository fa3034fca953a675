//! What letters say, in the language of whoever caused them. Owns their words; refuses to send anything.

use shared::{language::Language, role::Role, say};

/// A subject and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: &'static str,
    pub(crate) body: String,
}

/// Something that a person should hear of, in case it was not them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    PasswordChanged,
    SecondFactorOn,
    SecondFactorOff,
    IdentityLinked,
    IdentityUnlinked,
}

impl Notice {
    fn words(self, language: Language) -> (&'static str, &'static str) {
        match self {
            Self::PasswordChanged => (
                say!(language, "Your PersGuard password was changed"),
                say!(
                    language,
                    "Your password was changed, and every other session was ended."
                ),
            ),
            Self::SecondFactorOn => (
                say!(language, "An authenticator app was set up for PersGuard"),
                say!(
                    language,
                    "Signing in to your account takes a code of your authenticator app from now on."
                ),
            ),
            Self::SecondFactorOff => (
                say!(
                    language,
                    "The authenticator app of your PersGuard account was removed"
                ),
                say!(
                    language,
                    "Signing in to your account takes the password alone from now on."
                ),
            ),
            Self::IdentityLinked => (
                say!(language, "An identity was linked to your PersGuard account"),
                say!(
                    language,
                    "Somebody who knows your password linked an identity at a provider: it signs in to your account from now on. The page of your account lists it and removes it."
                ),
            ),
            Self::IdentityUnlinked => (
                say!(
                    language,
                    "An identity was removed from your PersGuard account"
                ),
                say!(
                    language,
                    "An identity at a provider does not sign in to your account any more."
                ),
            ),
        }
    }
}

impl Letter {
    fn of(subject: &'static str, paragraphs: &[&str]) -> Self {
        Self {
            subject,
            body: paragraphs.join("\n\n") + "\n",
        }
    }
}

fn greeting(language: Language, name: &str) -> String {
    say!(language, "Hello {name},", name = name)
}

/// Asks to confirm an address.
pub(crate) fn confirmation(language: Language, name: &str, link: &str, hours: i64) -> Letter {
    let greeting = greeting(language, name);
    let ask = say!(
        language,
        "open this address to confirm that this e-mail address is yours:"
    );
    let end = say!(
        language,
        "It works for {hours} hours. If you made no account, ignore this letter.",
        hours = hours
    );
    let subject = say!(language, "Confirm your e-mail address for PersGuard");
    Letter::of(subject, &[&greeting, ask, link, &end])
}

/// Lets somebody set a new password within an hour.
pub(crate) fn reset(language: Language, name: &str, link: &str) -> Letter {
    let greeting = greeting(language, name);
    let ask = say!(language, "open this address to set a new password:");
    let end = say!(
        language,
        "It works for an hour. If you did not ask for it, ignore this letter: nothing has changed."
    );
    let subject = say!(language, "Set a new PersGuard password");
    Letter::of(subject, &[&greeting, ask, link, end])
}

/// Tells of something, and what to do if it was somebody else.
pub(crate) fn notice(language: Language, name: &str, notice: Notice, url: &str) -> Letter {
    let greeting = greeting(language, name);
    let (subject, text) = notice.words(language);
    let end = say!(
        language,
        "If this was not you, set a new password now: {url}",
        url = url
    );
    Letter::of(subject, &[&greeting, text, &end])
}

fn role(language: Language, role: Role) -> &'static str {
    match role {
        Role::Owner => say!(language, "owner"),
        Role::Admin => say!(language, "admin"),
        Role::Editor => say!(language, "editor"),
        Role::Reviewer => say!(language, "reviewer"),
        Role::Viewer => say!(language, "viewer"),
    }
}

/// Invites somebody to an organisation.
pub(crate) fn invitation(
    language: Language,
    organisation: &str,
    offered: Role,
    link: &str,
) -> Letter {
    let greeting = say!(language, "Hello,");
    let ask = say!(
        language,
        "you are invited to join \"{organisation}\" on PersGuard as {role}. Sign in with this e-mail address, then open:",
        organisation = organisation,
        role = role(language, offered)
    );
    let end = say!(language, "The invitation ends after a week.");
    let subject = say!(language, "You are invited to an organisation on PersGuard");
    Letter::of(subject, &[greeting, &ask, link, end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://guard.example.org/verify-email#token=abc";

    fn all(language: Language) -> Vec<Letter> {
        let mut letters = vec![
            confirmation(language, "Ada", LINK, 48),
            reset(language, "Ada", LINK),
        ];
        letters.extend(Role::ALL.map(|role| invitation(language, "Atelier {role}", role, LINK)));
        let notices = [
            Notice::PasswordChanged,
            Notice::SecondFactorOn,
            Notice::SecondFactorOff,
            Notice::IdentityLinked,
            Notice::IdentityUnlinked,
        ];
        letters.extend(notices.map(|each| notice(language, "Ada", each, LINK)));
        letters
    }

    #[test]
    fn every_letter_has_its_own_words_in_every_language() {
        for (english, german) in all(Language::English).iter().zip(all(Language::German)) {
            assert_ne!(english.subject, german.subject);
            for (one, other) in english.body.lines().zip(german.body.lines()) {
                let same = one.is_empty() || one == LINK;
                assert_eq!(one == other, same, "{one}");
            }
            assert_eq!(english.body.lines().count(), german.body.lines().count());
            assert!(german.body.contains(LINK), "{}", german.body);
        }
    }

    #[test]
    fn english_letters_say_what_they_always_said() {
        let letter = confirmation(Language::English, "Ada", LINK, 48);
        let body = "Hello Ada,\n\nopen this address to confirm that this e-mail address is yours:\n\n\
            https://guard.example.org/verify-email#token=abc\n\n\
            It works for 48 hours. If you made no account, ignore this letter.\n";
        assert_eq!(letter.body, body);
    }

    #[test]
    fn names_are_no_placeholders() {
        let letter = invitation(Language::German, "{role}", Role::Editor, LINK);
        assert!(letter.body.contains("„{role}“"), "{}", letter.body);
    }
}
