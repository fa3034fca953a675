//! Letters in the language of whoever caused them: subjects, words, links that work.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use shared::{identity::Identity, page::Page};

use crate::{
    identities::{link, open},
    organisations::studio,
    second_factors::{code, set_up},
    support::{Person, Server, client_with},
};

const PASSWORD: &str = "correct horse battery";

/// A header that a browser sends with everything.
type Sent = (header::HeaderName, &'static str);

/// A letter as a mail program shows it.
struct Letter {
    subject: String,
    body: String,
}

/// Words of a header that were encoded for the way (RFC 2047).
fn words(header: &str) -> String {
    let mut bytes = Vec::new();
    // White space between two encoded words, or before the first word, is none of the text.
    let mut joins = true;
    for word in header.split_whitespace() {
        let inner = word.strip_prefix("=?utf-8?b?");
        let inner = inner.and_then(|inner| inner.strip_suffix("?="));
        bytes.extend((!joins || inner.is_none() && !bytes.is_empty()).then_some(b' '));
        match inner {
            Some(inner) => bytes.extend(STANDARD.decode(inner).expect("base64")),
            None => bytes.extend(word.bytes()),
        }
        joins = inner.is_some();
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Lines that were broken and letters that were escaped for the way (RFC 2045, 6.7).
fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut parts = joined.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (escaped, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(escaped, 16).expect("two digits"));
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn read(file: &str) -> Letter {
    let (head, body) = file.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.replace("\r\n ", " ");
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name))
    };
    let body = match field("Content-Transfer-Encoding: ") {
        Some("base64") => {
            let bytes = STANDARD.decode(body.split_whitespace().collect::<String>());
            String::from_utf8(bytes.expect("base64")).expect("UTF-8")
        }
        Some("quoted-printable") => quoted_printable(body),
        _ => body.to_owned(),
    };
    Letter {
        subject: words(field("Subject: ").expect("a subject")),
        body: body.replace("\r\n", "\n"),
    }
}

/// Letters to somebody, once there are as many.
async fn letters(server: &Server, to: &str, count: usize) -> Vec<Letter> {
    let outbox = server.data_dir().join("outbox");
    for _ in 0..600 {
        let files = std::fs::read_dir(&outbox).into_iter().flatten();
        let paths = files.map(|entry| entry.expect("a file").path());
        let paths = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
        let files = paths.map(|path| std::fs::read_to_string(path).expect("a letter"));
        let found: Vec<Letter> = files
            .filter(|file| file.contains(&format!("To: {to}")))
            .map(|file| read(&file))
            .collect();
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{count} letters to {to} did not arrive");
}

/// Somebody new whose every request has these headers.
async fn person<'a>(server: &'a Server, name: &str, headers: &[Sent]) -> Person<'a> {
    let mut person = server.stranger();
    person.client = client_with(headers);
    let account =
        json!({ "email": format!("{name}@example.org"), "password": PASSWORD, "name": name });
    let made = person.post("/v1/users", &account).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    person
}

async fn done(person: &Person<'_>, path: &str, request: &Value) {
    let answer = person.post(path, request).await;
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

/// Causes a letter of every kind: eight to the person, one to a guest.
async fn cause_every_letter(server: &Server, ada: &mut Person<'_>) {
    let email = "ada@example.org";
    done(ada, "/v1/email-verifications", &json!({})).await;
    done(ada, "/v1/password-resets", &json!({ "email": email })).await;
    let token = token(server, email, "reset-password", 3).await;
    let reset = json!({ "token": token, "password": PASSWORD });
    done(ada, "/v1/password-resets/confirm", &reset).await;
    let login = json!({ "email": email, "password": PASSWORD });
    done(ada, "/v1/sessions", &login).await;
    let (secret, _) = set_up(server, ada).await;
    server.clock.advance(60_000);
    let prove = json!({ "password": PASSWORD, "code": code(server, &secret) });
    done(ada, "/v1/me/totp/disable", &prove).await;
    assert_eq!(link(ada, "example").await, "/account?linked=example");
    let mine: Page<Identity> = ada.read("/v1/me/identities").await;
    let path = format!("/v1/me/identities/{}", mine.data[0].id);
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    let studio = studio(ada).await;
    let guest = json!({ "email": "guest@example.org", "role": "editor" });
    let path = format!("/v1/organisations/{}/invitations", studio.id);
    done(ada, &path, &guest).await;
}

/// The token of a link, once there are as many letters.
async fn token(server: &Server, to: &str, page: &str, count: usize) -> String {
    let mark = format!("/{page}#token=");
    let letters = letters(server, to, count).await;
    let mut tokens = letters.iter().filter_map(|letter| {
        let (_, rest) = letter.body.split_once(&mark)?;
        rest.split_whitespace().next()
    });
    tokens.next().expect("a link").to_owned()
}

#[tokio::test]
async fn german_readers_get_every_letter_in_german() {
    let (_provider, server) = open().await;
    let asks = [(header::ACCEPT_LANGUAGE, "de-AT,de;q=0.9,en;q=0.8")];
    let mut ada = person(&server, "ada", &asks).await;
    cause_every_letter(&server, &mut ada).await;
    let letters_to_ada = letters(&server, "ada@example.org", 8).await;
    let subjects: BTreeSet<&str> = letters_to_ada
        .iter()
        .map(|letter| letter.subject.as_str())
        .collect();
    let expected = [
        "Bestätigen Sie Ihre E-Mail-Adresse für PersGuard",
        "Die Authenticator-App Ihres PersGuard-Kontos wurde entfernt",
        "Eine Authenticator-App wurde für PersGuard eingerichtet",
        "Eine Identität wurde aus Ihrem PersGuard-Konto entfernt",
        "Eine Identität wurde mit Ihrem PersGuard-Konto verknüpft",
        "Ihr Passwort für PersGuard wurde geändert",
        "Legen Sie ein neues Passwort für PersGuard fest",
    ];
    assert_eq!(subjects, BTreeSet::from(expected));
    for letter in &letters_to_ada {
        assert!(
            letter.body.starts_with("Guten Tag ada,\n\n"),
            "{}",
            letter.body
        );
        for english in ["Hello", " the ", " your ", "set a new", "ignore"] {
            assert!(!letter.body.contains(english), "{english}: {}", letter.body);
        }
    }
    let invitation = &letters(&server, "guest@example.org", 1).await[0];
    assert_eq!(
        invitation.subject,
        "Sie sind zu einer Organisation auf PersGuard eingeladen"
    );
    for words in [
        "Guten Tag,\n",
        "(Rolle: Bearbeitung)",
        "/accept-invitation#token=",
    ] {
        assert!(invitation.body.contains(words), "{}", invitation.body);
    }
}

#[tokio::test]
async fn choice_goes_before_what_the_browser_asks_for_and_english_before_what_nobody_knows() {
    let server = Server::start().await;
    let (asks, chose) = (header::ACCEPT_LANGUAGE, header::COOKIE);
    let readers: [(&str, &[Sent], &str); 5] = [
        ("ada", &[], "Hello ada,"),
        ("bob", &[(asks.clone(), "tlh, *;q=0.5")], "Hello bob,"),
        ("cyd", &[(asks.clone(), ";;,,q=\"de\", \\de")], "Hello cyd,"),
        (
            "dan",
            &[
                (asks.clone(), "de"),
                (chose.clone(), "persguard_language=en"),
            ],
            "Hello dan,",
        ),
        (
            "eve",
            &[
                (asks, "en"),
                (chose, "persguard_language=<script>; persguard_language=de"),
            ],
            "Guten Tag eve,",
        ),
    ];
    for (name, headers, greeting) in readers {
        person(&server, name, headers).await;
        let letters = letters(&server, &format!("{name}@example.org"), 1).await;
        assert!(letters[0].body.starts_with(greeting), "{}", letters[0].body);
    }
}
