//! Share links: what a visitor sees, and above all what a visitor never sees.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, Response, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use shared::{
    job::Job,
    page::Page,
    share_link::{CreatedShareLink, ShareLink, ShareLinkStatus, ShareView, ViewOutcome},
};

use crate::{
    keys::{holder, make},
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    support::{Person, Server, body, refused},
};

const DAY: i64 = 24 * 3_600_000;
const TITLE: &str = "<b>Rex & \"Co\"</b>";

/// A judged job with one pair more than the script has.
pub(crate) async fn gallery(server: &Server, person: &Person<'_>) -> String {
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    protect(&node, &lease).await;
    let lease = node.lease().await;
    let mut file = report();
    file["collateral"] = collateral();
    let mut earlier = file["pairs"][0].clone();
    earlier["attack_step"] = json!(100);
    file["pairs"] = json!([earlier, file["pairs"][0]]);
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    let finished = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(finished, StatusCode::NO_CONTENT);
    let done: Job = person.read(&job.urls.own).await;
    done.gallery_id.expect("a gallery").to_string()
}

async fn ask(person: &Person<'_>, key: &str, request: &Value) -> Response {
    let request = person
        .request(Method::POST, "/v1/share-links")
        .header("idempotency-key", key)
        .json(request);
    request.send().await.expect("an answer")
}

/// Shares a gallery; `more` are the request's other fields.
async fn share(person: &Person<'_>, gallery: &str, more: &Value) -> CreatedShareLink {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut request = json!({ "gallery_id": gallery });
    for (name, value) in more.as_object().expect("fields") {
        request[name] = value.clone();
    }
    let key = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
    body(
        ask(person, &format!("share-{key}"), &request).await,
        StatusCode::CREATED,
    )
    .await
}

/// A browser that nobody signed in with.
fn browser() -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(Policy::none());
    builder.build().expect("a client")
}

async fn visit(client: &reqwest::Client, url: &str) -> Response {
    let request = client
        .get(url)
        .header("accept", "text/html,application/xhtml+xml");
    request.send().await.expect("an answer")
}

async fn text(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    response.text().await.expect("a page")
}

/// Everything that could tell a visitor something about the owner.
fn assert_tells_nothing(page: &str, url: &str) {
    let told = [
        "Rex",
        "Resisted in a test",
        "zwx",
        "og:",
        "gal_",
        "art_",
        "job_",
        "set_",
        "org_",
        "usr_",
        "lnk_",
    ];
    for word in told {
        assert!(!page.contains(word), "{word} in {page}");
    }
    let (_, path) = url.split_once("/s/").expect("the address of a page");
    let token = path.split('/').next().expect("a token");
    assert!(!page.contains(token), "the page repeats its secret");
}

/// Every part of a page, as addresses.
fn parts(url: &str) -> [String; 5] {
    [
        "",
        "/preview.png",
        "/pictures/0",
        "/references/0",
        "/archive",
    ]
    .map(|part| format!("{url}{part}"))
}

#[tokio::test]
async fn page_is_in_the_language_of_its_reader() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(&owner, &gallery, &json!({ "title": TITLE })).await;
    let client = browser();
    let read = async |url: &str| {
        let request = client
            .get(url)
            .header("accept", "text/html")
            .header("accept-language", "de-AT,de;q=0.9,en;q=0.8");
        let response = request.send().await.expect("an answer");
        let cookie = response.headers().get("set-cookie").cloned();
        let page = text(response, StatusCode::OK).await;
        (page, cookie)
    };
    let (page, cookie) = read(&made.url).await;
    for word in [
        "<html lang=\"de\" dir=\"ltr\">",
        "Was ein Angreifer bekommt",
        "Ohne Schutz",
        // What nobody has translated says which language it is in.
        "<span lang=\"en\">Resisted in a test.</span>",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
    assert!(cookie.is_none(), "nothing was chosen");
    assert!(
        page.len() <= 60 * 1024 && page.contains("Drucken oder als PDF speichern"),
        "{} bytes",
        page.len()
    );
    let (page, cookie) = read(&format!("{}?language=en", made.url)).await;
    assert!(page.contains("<html lang=\"en\"") && page.contains("What an attacker gets"));
    let cookie = cookie.expect("a cookie");
    let cookie = cookie.to_str().expect("text");
    assert!(
        cookie.starts_with("persguard_language=en; ") && !cookie.contains("HttpOnly"),
        "the dashboard's scripts read it, too: {cookie}"
    );
    let (page, _) = read(&made.url).await;
    assert!(page.contains("<html lang=\"en\""), "the choice stays");
    let (page, _) = read(&format!("{}?language=tlh", made.url)).await;
    assert!(page.contains("<html lang=\"en\""), "no such language");
    let gone = client
        .get(server.url("/s/nothing"))
        .header("accept", "text/html")
        .header("cookie", "persguard_language=de");
    let gone = gone.send().await.expect("an answer");
    let page = text(gone, StatusCode::NOT_FOUND).await;
    assert!(page.contains("Hier ist keine Seite"), "{page}");
}

#[tokio::test]
async fn page_is_read_without_an_account_or_a_script() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(
        &owner,
        &gallery,
        &json!({ "recipient": "Atelier <Nord>", "title": TITLE }),
    )
    .await;
    assert!(made.url.starts_with(&server.url("/s/")), "{}", made.url);
    let response = visit(&browser(), &made.url).await;
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'self'"),
        "{policy}"
    );
    assert_eq!(response.headers()["x-frame-options"], "SAMEORIGIN");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-robots-tag"], "noindex, nofollow");
    let page = text(response, StatusCode::OK).await;
    assert!(page.len() <= 60 * 1024, "{} bytes", page.len());
    for word in [
        "Resisted in a test.",
        "Other attacks were not tried.",
        "a photo of zwx dog",
        "n = ",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(
        page.contains("&lt;b&gt;Rex &amp; &quot;Co&quot;&lt;/b&gt;")
            && page.contains("Atelier &lt;Nord&gt;")
    );
    for never in [
        "<b>Rex", "onerror", "gal_", "art_", "job_", "set_", "org_", "usr_", "lnk_", "00.png",
        "ada",
    ] {
        assert!(!page.contains(never), "{never}");
    }
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, 1, "what prints it, and no other");
    let preview = format!("property=\"og:image\" content=\"{}/preview.png\"", made.url);
    assert!(
        page.contains(&preview)
            && page.contains(&format!("property=\"og:url\" content=\"{}\"", made.url))
    );
    assert!(
        !page.contains("/references/") && !page.contains("/archive"),
        "neither was shared"
    );
    let other = visit(&browser(), &format!("{}?step=100", made.url)).await;
    let other = text(other, StatusCode::OK).await;
    assert!(
        other.contains("pictures/0") && !other.contains("pictures/2"),
        "one length of the attack at a time"
    );
}

#[tokio::test]
async fn pictures_are_pixels_with_the_recipients_name() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let marked = share(&owner, &gallery, &json!({ "recipient": "Nord" })).await;
    let plain = share(
        &owner,
        &gallery,
        &json!({ "watermark": false, "references": true }),
    )
    .await;
    let client = browser();
    let fetch = async |url: &str, part: &str| {
        let response = visit(&client, &format!("{url}/{part}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{part}");
        assert_eq!(response.headers()["content-type"], "image/png");
        assert!(
            !response.headers().contains_key("content-disposition"),
            "no file name"
        );
        response.bytes().await.expect("a picture")
    };
    let size = |bytes: &[u8]| {
        let side =
            |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        (side(16), side(20))
    };
    let (with, without) = (
        fetch(&marked.url, "pictures/1").await,
        fetch(&plain.url, "pictures/1").await,
    );
    assert_eq!((size(&with), size(&without)), ((384, 384), (32, 32)));
    assert_ne!(
        fetch(&marked.url, "pictures/0").await,
        with,
        "two arms, two pictures"
    );
    for bytes in [&with, &without, &fetch(&plain.url, "references/0").await] {
        for chunk in [&b"tEXt"[..], b"iTXt", b"zTXt", b"eXIf", b"tIME"] {
            assert!(!bytes.windows(4).any(|four| four == chunk), "no metadata");
        }
    }
    let preview = fetch(&marked.url, "preview.png").await;
    assert_eq!(size(&preview), (1200, 630));
    for missing in [
        "pictures/4",
        "pictures/-1",
        "pictures/x",
        "references/3",
        "pictures/18446744073709551615",
    ] {
        let response = visit(&client, &format!("{}/{missing}", plain.url)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{missing}");
    }
    let response = visit(&client, &format!("{}/references/0", marked.url)).await;
    assert_eq!(
        response.status(),
        StatusCode::NOT_FOUND,
        "they were not shared"
    );
}

#[tokio::test]
async fn ended_links_tell_nothing() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let request = json!({ "title": "Rex", "download": true, "references": true });
    let expiring = share(&owner, &gallery, &request).await;
    let revoked = share(
        &owner,
        &gallery,
        &json!({ "title": "Rex", "expires_in_days": 365 }),
    )
    .await;
    let client = browser();
    for url in parts(&expiring.url) {
        assert_eq!(visit(&client, &url).await.status(), StatusCode::OK, "{url}");
    }
    server.clock.advance(30 * DAY);
    let path = format!("/v1/share-links/{}", revoked.share_link.id);
    assert_eq!(
        owner.delete(&path).await.status(),
        StatusCode::UNAUTHORIZED,
        "the session ended meanwhile"
    );
    let owner = sign_in(&server, "ada").await;
    assert_eq!(owner.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        owner.delete(&path).await.status(),
        StatusCode::NO_CONTENT,
        "again is no harm"
    );
    for url in parts(&expiring.url).iter().chain(&parts(&revoked.url)) {
        let page = text(visit(&client, url).await, StatusCode::GONE).await;
        assert_tells_nothing(&page, url);
        let problem = client.get(url).send().await.expect("an answer");
        assert_eq!(
            problem.headers()["content-type"],
            "application/problem+json"
        );
        let problem = refused(problem, 410, "gone").await;
        assert_eq!(problem["instance"], "/s/{token}");
    }
    let unknown = server.url("/s/AAAAAAAAAAAAAAAAAAAAAAAA");
    assert_tells_nothing(
        &text(visit(&client, &unknown).await, StatusCode::NOT_FOUND).await,
        &unknown,
    );
    let links: Page<ShareLink> = owner.read("/v1/share-links").await;
    let status: Vec<_> = links.data.iter().map(|link| link.status).collect();
    assert_eq!(status, [ShareLinkStatus::Revoked, ShareLinkStatus::Expired]);
    let late = owner.patch(&path, &json!({ "expires_in_days": 9 })).await;
    refused(late, 409, "conflict").await;
    let again = format!("/v1/share-links/{}", expiring.share_link.id);
    let late = owner.patch(&again, &json!({ "expires_in_days": 1 })).await;
    refused(late, 409, "conflict").await;
}

async fn sign_in<'a>(server: &'a Server, name: &str) -> Person<'a> {
    let person = server.stranger();
    let login =
        json!({ "email": format!("{name}@example.org"), "password": "correct horse battery" });
    assert_eq!(
        person.post("/v1/sessions", &login).await.status(),
        StatusCode::CREATED
    );
    person
}

async fn unlock(client: &reqwest::Client, url: &str, password: &str) -> Response {
    let request = client
        .post(url)
        .header("accept", "text/html")
        .form(&[("password", password)]);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn password_stands_before_everything() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let request = json!({ "title": "Rex", "password": "tell me a secret", "download": true, "references": true });
    let made = share(&owner, &gallery, &request).await;
    let client = browser();
    let page = text(visit(&client, &made.url).await, StatusCode::OK).await;
    assert!(page.contains("type=\"password\""));
    assert_tells_nothing(&page, &made.url);
    let other = share(&owner, &gallery, &json!({ "title": "Rex" })).await;
    let open = client
        .get(format!("{}/preview.png", other.url))
        .send()
        .await
        .expect("an answer");
    let shut = client
        .get(format!("{}/preview.png", made.url))
        .send()
        .await
        .expect("an answer");
    assert_ne!(
        open.bytes().await.expect("one"),
        shut.bytes().await.expect("another"),
        "the preview tells nothing"
    );
    for part in ["pictures/0", "references/0", "archive"] {
        let response = visit(&client, &format!("{}/{part}", made.url)).await;
        assert_tells_nothing(&text(response, StatusCode::FORBIDDEN).await, &made.url);
    }
    let wrong = unlock(&client, &made.url, "tell me a lie").await;
    let wrong = text(wrong, StatusCode::FORBIDDEN).await;
    assert!(wrong.contains("type=\"password\"") && wrong.contains("role=\"alert\""));
    assert_tells_nothing(&wrong, &made.url);
    let right = unlock(&client, &made.url, "tell me a secret").await;
    assert_eq!(right.status(), StatusCode::SEE_OTHER);
    let cookie = right.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Lax")
            && cookie.contains("Path=/s/"),
        "{cookie}"
    );
    assert!(
        text(visit(&client, &made.url).await, StatusCode::OK)
            .await
            .contains("Rex")
    );
    for part in ["pictures/0", "references/0", "archive"] {
        let response = visit(&client, &format!("{}/{part}", made.url)).await;
        assert_eq!(response.status(), StatusCode::OK, "{part}");
    }
    passes_are_for_one_page_and_one_password(&server, &owner, (&made, &cookie), &gallery).await;
}

async fn passes_are_for_one_page_and_one_password(
    server: &Server,
    owner: &Person<'_>,
    (made, cookie): (&CreatedShareLink, &str),
    gallery: &str,
) {
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let show = async |url: &str, cookie: &str| {
        let request = browser()
            .get(url)
            .header("accept", "text/html")
            .header("cookie", cookie);
        text(request.send().await.expect("an answer"), StatusCode::OK)
            .await
            .contains("Rex")
    };
    assert!(show(&made.url, &pair).await);
    let (name, value) = pair.split_once('=').expect("a pair");
    let (until, seal) = value.split_once('.').expect("two parts");
    let later = until.parse::<i64>().expect("a time") + DAY;
    for forged in [
        format!("{name}={later}.{seal}"),
        format!("{name}={until}."),
        format!("{name}=x.y"),
        format!("{name}={until}.{}", "0".repeat(64)),
    ] {
        assert!(!show(&made.url, &forged).await, "{forged}");
    }
    let other = share(
        owner,
        gallery,
        &json!({ "title": "Rex", "password": "tell me a secret", "recipient": "b" }),
    )
    .await;
    assert!(!show(&other.url, &pair).await, "another page");
    let path = format!("/v1/share-links/{}", made.share_link.id);
    let changed = owner
        .patch(&path, &json!({ "password": "another secret" }))
        .await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert!(!show(&made.url, &pair).await, "another password");
    let removed = owner.patch(&path, &json!({ "password": null })).await;
    let removed: ShareLink = body(removed, StatusCode::OK).await;
    assert!(!removed.has_password && show(&made.url, "").await);
    server.clock.advance(13 * 3_600_000);
    let right = unlock(&browser(), &other.url, "tell me a secret").await;
    let fresh = right.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .to_owned();
    let fresh = fresh.split(';').next().expect("a pair").to_owned();
    assert!(show(&other.url, &fresh).await);
    server.clock.advance(13 * 3_600_000);
    assert!(!show(&other.url, &fresh).await, "it lasts twelve hours");
}

#[tokio::test]
async fn guesses_are_bounded_and_noted() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(&owner, &gallery, &json!({ "password": "tell me a secret" })).await;
    let client = browser();
    for _ in 0..10 {
        assert_eq!(
            unlock(&client, &made.url, "a wrong password")
                .await
                .status(),
            StatusCode::FORBIDDEN
        );
    }
    let more = unlock(&client, &made.url, "tell me a secret").await;
    assert!(more.headers().contains_key("retry-after"));
    let page = text(more, StatusCode::TOO_MANY_REQUESTS).await;
    assert_tells_nothing(&page, &made.url);
    server.clock.advance(60_000);
    assert_eq!(
        unlock(&client, &made.url, "tell me a secret")
            .await
            .status(),
        StatusCode::SEE_OTHER
    );
    let path = format!("/v1/share-links/{}/views?limit=100", made.share_link.id);
    let views: Page<ShareView> = owner.read(&path).await;
    assert_eq!(views.data.len(), 10);
    assert!(
        views
            .data
            .iter()
            .all(|view| view.outcome == ViewOutcome::Refused)
    );
    for (kind, sent) in [
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "x=y"),
        ("text/plain", "x"),
    ] {
        let request = client
            .post(&made.url)
            .header("content-type", kind)
            .body(sent);
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_client_error(), "{kind}: {status}");
    }
}

#[tokio::test]
async fn visits_are_counted_without_addresses() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(&owner, &gallery, &json!({})).await;
    let client = browser();
    visit(&client, &made.url).await;
    visit(&client, &format!("{}?step=100&page=1", made.url)).await;
    client.head(&made.url).send().await.expect("an answer");
    client
        .get(&made.url)
        .header("user-agent", "Slackbot 1.0")
        .send()
        .await
        .expect("an answer");
    let path = format!("/v1/share-links/{}", made.share_link.id);
    let link: ShareLink = owner.read(&path).await;
    assert_eq!(link.views, 2);
    let views: Page<ShareView> = owner.read(&format!("{path}/views")).await;
    let seen: Vec<_> = views
        .data
        .iter()
        .map(|view| (view.outcome, view.network.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (ViewOutcome::Preview, "127.0.0.0/24"),
            (ViewOutcome::Shown, "127.0.0.0/24")
        ]
    );
    // A visit changes what is counted: whoever read the link before it can still change it.
    let tag = owner.get(&path).await.headers()["etag"].clone();
    server.clock.advance(31 * 60 * 1000);
    visit(&client, &format!("{}?page=1", made.url)).await;
    let change = owner
        .request(Method::PATCH, &path)
        .header("content-type", "application/merge-patch+json")
        .header("if-match", &tag)
        .body(json!({ "recipient": "Nord", "download": true }).to_string());
    let change = change.send().await.expect("an answer");
    let changed_tag = change.headers()["etag"].clone();
    let changed: ShareLink = body(change, StatusCode::OK).await;
    assert_eq!(
        (changed.recipient.as_str(), changed.download, changed.views),
        ("Nord", true, 3)
    );
    assert_ne!(tag, changed_tag);
    let blind = owner
        .request(Method::PATCH, &path)
        .header("content-type", "application/merge-patch+json")
        .body("{}");
    refused(
        blind.send().await.expect("an answer"),
        428,
        "precondition_required",
    )
    .await;
}

#[tokio::test]
async fn chosen_pairs_are_all_that_is_shown_and_the_page_says_so() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(
        &owner,
        &gallery,
        &json!({ "pairs": [1, 1], "download": true }),
    )
    .await;
    let client = browser();
    let page = text(visit(&client, &made.url).await, StatusCode::OK).await;
    assert!(page.contains("The sender chose 1 of 2 pairs."));
    for (number, status) in [(0, 404), (1, 404), (2, 200), (3, 200)] {
        let response = visit(&client, &format!("{}/pictures/{number}", made.url)).await;
        assert_eq!(response.status().as_u16(), status, "{number}");
    }
    let archive = visit(&client, &format!("{}/archive", made.url)).await;
    let disposition = archive.headers()["content-disposition"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(disposition, "attachment; filename=\"shared-gallery.tar\"");
    let bytes = archive.bytes().await.expect("an archive");
    let mut archive = tar::Archive::new(bytes.as_ref());
    let entries = archive.entries().expect("entries");
    let names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .path()
                .expect("a path")
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(
        names,
        [
            "report.json",
            "pair-0002-clean.png",
            "pair-0002-protected.png"
        ]
    );
    let none = share(&owner, &gallery, &json!({ "pairs": [1] })).await;
    let shut = visit(&client, &format!("{}/archive", none.url)).await;
    assert_eq!(shut.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_named_sites_frame_a_page() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let origins = json!({ "embed_origins": ["https://example.org", "http://localhost:3000"] });
    let made = share(&owner, &gallery, &origins).await;
    let response = visit(&browser(), &made.url).await;
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.ends_with("frame-ancestors 'self' https://example.org http://localhost:3000"),
        "{policy}"
    );
    assert!(!response.headers().contains_key("x-frame-options"));
    for bad in ["https://a; script-src *", "*", "https://a.example/path"] {
        let request = json!({ "gallery_id": gallery, "embed_origins": [bad] });
        refused(ask(&owner, "bad", &request).await, 422, "invalid").await;
    }
    let path = format!("/v1/share-links/{}", made.share_link.id);
    let locked = owner
        .patch(&path, &json!({ "password": "tell me a secret" }))
        .await;
    refused(locked, 409, "conflict").await;
    let both = json!({ "gallery_id": gallery, "password": "tell me a secret", "embed_origins": ["https://a.example"] });
    refused(ask(&owner, "both", &both).await, 409, "conflict").await;
}

#[tokio::test]
async fn only_who_may_share_shares() {
    let server = Server::start().await;
    let owner = server.person("ada").await;
    let gallery = gallery(&server, &owner).await;
    let request = json!({ "gallery_id": gallery });
    let without = owner.post("/v1/share-links", &request).await;
    refused(without, 400, "idempotency_key_required").await;
    refused(ask(&owner, "1", &request).await, 403, "forbidden").await;
    server.confirm(&owner, "ada").await;
    let made: CreatedShareLink = body(ask(&owner, "2", &request).await, StatusCode::CREATED).await;
    let again = refused(ask(&owner, "2", &request).await, 409, "conflict").await;
    assert!(again["detail"].as_str().expect("text").contains("secret"));
    let path = format!("/v1/share-links/{}", made.share_link.id);
    let kept = owner.get(&path).await.text().await.expect("a link");
    let (_, token) = made.url.rsplit_once('/').expect("a token");
    assert!(!kept.contains(token) && !kept.contains("url"), "{kept}");
    let stranger = server.confirmed("eve").await;
    refused(stranger.get(&path).await, 404, "not_found").await;
    refused(stranger.delete(&path).await, 404, "not_found").await;
    refused(
        stranger.get(&format!("{path}/views")).await,
        404,
        "not_found",
    )
    .await;
    refused(ask(&stranger, "3", &request).await, 404, "not_found").await;
    let key = make(
        &owner,
        &json!({ "name": "k", "scopes": ["galleries:read"] }),
    )
    .await;
    let reader = holder(&server, &key.secret);
    assert_eq!(reader.get(&path).await.status(), StatusCode::OK);
    refused(ask(&reader, "4", &request).await, 403, "missing_scope").await;
    let out_of_range = json!({ "gallery_id": gallery, "pairs": [0, 2] });
    refused(ask(&owner, "5", &out_of_range).await, 422, "invalid").await;
}

#[tokio::test]
async fn what_a_notice_suspends_is_not_there() {
    let server = Server::start().await;
    let owner = server.confirmed("ada").await;
    let gallery = gallery(&server, &owner).await;
    let made = share(&owner, &gallery, &json!({ "title": "Rex" })).await;
    let complaint = json!({ "category": "depicts_me", "object": gallery, "good_faith": true,
        "explanation": "The pictures show me, and nobody asked.", "name": "Eve", "email": "e@example.org", "signature": "Eve" });
    let notice = server.stranger().post("/v1/notices", &complaint).await;
    let status = notice.status();
    let notice: Value = notice.json().await.expect("a receipt");
    assert_eq!(status, StatusCode::CREATED, "{notice}");
    let admin = server.confirmed("admin").await;
    let path = format!(
        "/v1/admin/notices/{}/decision",
        notice["id"].as_str().expect("an id")
    );
    let decision = json!({ "action": "suspend", "statement": "The pictures show who complains; appeal within six months." });
    let decided = admin.post(&path, &decision).await;
    assert!(decided.status().is_success(), "{:?}", decided.text().await);
    for url in parts(&made.url) {
        let page = text(visit(&browser(), &url).await, StatusCode::NOT_FOUND).await;
        assert_tells_nothing(&page, &url);
    }
}
