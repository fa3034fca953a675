//! Letters: what they say, what their links do, and that a real SMTP server takes them.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::json;
use shared::auth::User;

use crate::{
    keys::{holder, make},
    support::{Server, body, plain, refused},
};

#[tokio::test]
async fn address_is_confirmed_by_its_letter_once() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    assert!(!ada.read::<User>("/v1/me").await.email_verified);
    let first = server.token("ada@example.org", "verify-email").await;
    let again = ada.post("/v1/email-verifications", &json!({})).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    let confirm = async |token: &str| {
        let request = json!({ "token": token });
        ada.post("/v1/email-verifications/confirm", &request).await
    };
    refused(confirm(&first).await, 410, "gone").await;
    let mut second = first.clone();
    while second == first {
        tokio::time::sleep(Duration::from_millis(50)).await;
        second = server.token("ada@example.org", "verify-email").await;
    }
    assert_eq!(confirm(&second).await.status(), StatusCode::NO_CONTENT);
    refused(confirm(&second).await, 410, "gone").await;
    assert!(ada.read::<User>("/v1/me").await.email_verified);
    let done = ada.post("/v1/email-verifications", &json!({})).await;
    refused(done, 409, "conflict").await;
}

/// Eve opens an account with the address of somebody who has none, and waits for their click.
#[tokio::test]
async fn strangers_account_is_not_proven_by_who_reads_its_letter() {
    let server = Server::start().await;
    let eve = server.person("admin").await;
    let key = json!({ "name": "x", "scopes": ["sets:read"] });
    let key = make(&eve, &key).await;
    let token = server.token("admin@example.org", "verify-email").await;
    let click = json!({ "token": token });
    let confirm = "/v1/email-verifications/confirm";
    let reader = server.stranger();
    refused(reader.post(confirm, &click).await, 401, "unauthenticated").await;
    let other = server.person("bob").await;
    let problem = refused(other.post(confirm, &click).await, 403, "forbidden").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("another account"), "{detail}");
    let by_key = holder(&server, &key.secret);
    refused(by_key.post(confirm, &click).await, 403, "forbidden").await;
    assert!(!eve.read::<User>("/v1/me").await.email_verified);
    refused(eve.get("/v1/admin/notices").await, 403, "forbidden").await;
    // The reader takes the account over, and nothing of the stranger's stays.
    let ask = json!({ "email": "admin@example.org" });
    reader.post("/v1/password-resets", &ask).await;
    let reset = server.token("admin@example.org", "reset-password").await;
    let reset = json!({ "token": reset, "password": "another horse" });
    let done = reader.post("/v1/password-resets/confirm", &reset).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    refused(eve.get("/v1/me").await, 401, "unauthenticated").await;
    refused(by_key.get("/v1/me").await, 401, "unauthenticated").await;
    let login = json!({ "email": "admin@example.org", "password": "another horse" });
    let user: User = body(
        reader.post("/v1/sessions", &login).await,
        StatusCode::CREATED,
    )
    .await;
    assert!(user.email_verified && user.administrator);
}

#[tokio::test]
async fn forgotten_password_is_set_anew_by_letter() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let stranger = server.stranger();
    for email in ["ADA@example.org", "nobody@example.org"] {
        let request = json!({ "email": email });
        let asked = stranger.post("/v1/password-resets", &request).await;
        assert_eq!(asked.status(), StatusCode::ACCEPTED, "the same for both");
        assert_eq!(asked.text().await.unwrap(), "");
    }
    let token = server.token("ada@example.org", "reset-password").await;
    let reset = async |password: &str| {
        let request = json!({ "token": token, "password": password });
        stranger.post("/v1/password-resets/confirm", &request).await
    };
    refused(reset("short").await, 422, "invalid").await;
    assert_eq!(
        reset("another horse").await.status(),
        StatusCode::NO_CONTENT
    );
    refused(reset("yet another horse").await, 410, "gone").await;
    refused(ada.get("/v1/me").await, 401, "unauthenticated").await;
    let login = json!({ "email": "ada@example.org", "password": "another horse" });
    let user: User = body(
        stranger.post("/v1/sessions", &login).await,
        StatusCode::CREATED,
    )
    .await;
    assert!(user.email_verified, "the letter was read");
    let outbox = fs::read_dir(server.data_dir().join("outbox")).unwrap();
    for letter in outbox {
        let letter = plain(&fs::read_to_string(letter.unwrap().path()).unwrap());
        assert!(!letter.contains("nobody@example.org"));
    }
}

/// Letters to Ada that set a password anew.
fn resets(server: &Server) -> usize {
    let outbox = fs::read_dir(server.data_dir().join("outbox"));
    let paths = outbox
        .into_iter()
        .flatten()
        .map(|it| it.expect("a file").path());
    let letters = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
    let resets = letters.filter(|path| {
        let letter = plain(&fs::read_to_string(path).expect("a letter"));
        letter.contains("To: ada@example.org") && letter.contains("/reset-password#token=")
    });
    resets.count()
}

/// Waits until so many of them were written, and that no more are.
async fn only(server: &Server, count: usize) {
    for _ in 0..600 {
        if resets(server) >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(resets(server), count);
}

#[tokio::test]
async fn nobody_is_buried_in_letters_and_nobody_learns_of_it() {
    let server = Server::start().await;
    server.person("ada").await;
    let stranger = server.stranger();
    // Every three minutes for an hour, and for another one.
    for letters in [4, 6] {
        for _ in 0..20 {
            for email in ["Ada@example.org", "nobody@example.org"] {
                let request = json!({ "email": email });
                let asked = stranger.post("/v1/password-resets", &request).await;
                assert_eq!(asked.status(), StatusCode::ACCEPTED, "the same for both");
                assert_eq!(asked.text().await.unwrap(), "");
            }
            server.clock.advance(3 * 60_000);
        }
        only(&server, letters).await;
    }
}

#[tokio::test]
async fn reset_link_ends_after_an_hour() {
    let server = Server::start().await;
    server.person("ada").await;
    let request = json!({ "email": "ada@example.org" });
    let asked = server
        .stranger()
        .post("/v1/password-resets", &request)
        .await;
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    let token = server.token("ada@example.org", "reset-password").await;
    server.clock.advance(3_600_000);
    let request = json!({ "token": token, "password": "another horse" });
    let late = server
        .stranger()
        .post("/v1/password-resets/confirm", &request)
        .await;
    refused(late, 410, "gone").await;
}

/// An SMTP server that keeps what it gets in a maildir.
struct SmtpServer {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A Python that has the SMTP server; Debian's package is for Debian's own Python.
fn python() -> Option<&'static str> {
    let has_server = |program: &&str| {
        Command::new(program)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_server)
}

impl SmtpServer {
    fn start(python: &str, port: u16) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let child = Command::new(python)
            .args([
                "-m",
                "aiosmtpd",
                "--nosetuid",
                "--class",
                "aiosmtpd.handlers.Mailbox",
            ])
            .arg(directory.path().join("mail"))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        Self {
            child,
            directory,
            port,
        }
    }

    /// The letters that arrived, once there are as many.
    async fn letters(&self, count: usize) -> Vec<String> {
        let new = self.directory.path().join("mail/new");
        for _ in 0..600 {
            let found: Vec<_> = fs::read_dir(&new).into_iter().flatten().collect();
            if found.len() >= count {
                let read = |entry: Result<fs::DirEntry, _>| {
                    plain(&fs::read_to_string(entry.expect("a file").path()).expect("a letter"))
                };
                return found.into_iter().map(read).collect();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{count} letters did not arrive");
    }
}

#[tokio::test]
async fn smtp_server_gets_the_letters_even_if_it_was_away() {
    let Some(python) = python() else {
        println!("SKIPPED: no SMTP server. Install it (Debian: `apt install python3-aiosmtpd`).");
        return;
    };
    let port = free_port();
    let server = Server::start_with(|config| {
        config.smtp_url = Some(format!("smtp://127.0.0.1:{port}"));
        config.mail_sender = "Guard <guard@example.net>".into();
    })
    .await;
    // Nobody listens yet: the letter waits in the database.
    server.person("ada").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!server.data_dir().join("outbox").exists());
    let smtp = SmtpServer::start(python, port);
    assert_eq!(smtp.port, port);
    server.clock.advance(60_000);
    let letters = smtp.letters(1).await;
    assert!(
        letters[0].contains("From: Guard <guard@example.net>"),
        "{}",
        letters[0]
    );
    assert!(letters[0].contains("To: ada@example.org"), "{}", letters[0]);
    assert!(
        letters[0].contains("/verify-email#token="),
        "{}",
        letters[0]
    );
    assert!(
        letters[0].contains("Content-Type: text/plain; charset=utf-8"),
        "{}",
        letters[0]
    );
}
