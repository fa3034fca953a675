//! The demo project: public, real, and made once.

use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    canonical::sha256_hex,
    certificate::{Certificate, KIND},
    demo::Demo,
    gallery::Gallery,
    job::JobStatus,
    matrix::Tier,
    signed,
};

use crate::{
    scripted::{evaluation_outputs, protect, report, succeeded},
    support::{Server, refused},
};

#[tokio::test]
async fn demo_runs_once_and_is_public() {
    let server = Server::start_with(|config| config.demo = true).await;
    let stranger = server.stranger();
    let demo: Demo = stranger.read("/v1/demo").await;
    assert_eq!(demo.protect.expect("a job").status, JobStatus::Queued);
    assert!(demo.evaluate.is_none() && demo.gallery.is_none());
    let node = server.node();
    let lease = node.lease().await;
    assert_eq!(
        (
            lease.spec.concepts[0].class_name.as_str(),
            lease.spec.concepts[0].identifier.as_str()
        ),
        ("dog", "sks")
    );
    node.beat(&lease, json!([])).await;
    protect(&node, &lease).await;
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let outputs = evaluation_outputs(&node, &lease, report().to_string().as_bytes()).await;
    assert_eq!(
        node.finish(&lease, succeeded(&outputs)).await,
        StatusCode::NO_CONTENT
    );
    let demo: Demo = stranger.read("/v1/demo").await;
    assert_eq!(demo.evaluate.expect("a job").status, JobStatus::Succeeded);
    look(&server, &demo.gallery.expect("a gallery")).await;

    let again = Server::start_in(server.stop().await, |config| config.demo = true).await;
    let demo: Demo = again.stranger().read("/v1/demo").await;
    assert_eq!(
        demo.protect.expect("a job").status,
        JobStatus::Succeeded,
        "reused"
    );
    assert!(demo.gallery.is_some());
    let quiet = Server::start_in(again.stop().await, |_| ()).await;
    let demo: Demo = quiet.stranger().read("/v1/demo").await;
    assert!(
        demo.protect.is_none() && demo.gallery.is_none(),
        "this server runs no demo"
    );
}

/// What came with this version is shown where it is what its signer wrote, and of the model that is embedded.
#[tokio::test]
async fn the_shipped_evaluation_is_public_and_signed() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let demo: Demo = stranger.read("/v1/demo").await;
    let told = demo.evaluation.expect("one comes with every version");
    let fetch = async |url: &str| {
        let answer = stranger.get(url).await;
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let policy = answer.headers()["content-security-policy"].to_str();
        assert!(policy.unwrap().starts_with("sandbox"), "{url}");
        (etag, answer.bytes().await.unwrap())
    };
    let (_, certificate) = fetch(&told.certificate_url).await;
    let (_, keys) = fetch(&told.keys_url).await;
    let verified = signed::verify::<Certificate>(KIND, &certificate, Some(&keys)).unwrap();
    assert!(verified.is_known_key);
    let certificate = verified.document;
    assert_eq!(certificate.contradictions(), Vec::<String>::new());
    let report = certificate.report;
    assert_eq!((report.tier, told.cells), (Tier::Standard, 72));
    assert_eq!(
        (told.grade, told.counts),
        (report.grade, report.counts),
        "what is told is what was signed"
    );
    for (name, bytes) in demo::model_files() {
        if let Some(sha256) = report.inputs.base_files.get(*name) {
            assert_eq!(&sha256_hex(bytes), sha256, "{name} is another model's");
        }
    }
    assert!(report.inputs.base_files.len() > 5);
    let (etag, page) = fetch(&told.report_url).await;
    let page = std::str::from_utf8(&page).unwrap();
    assert!(page.contains(&told.verdict[..40]) && page.contains("certificate.json"));
    assert!(!page.contains("<script"), "it needs none");
    let again = stranger.request(Method::GET, &told.report_url);
    let again = again.header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    for missing in [
        "/demo/evaluation/signing-key",
        "/demo/evaluation/..%2fmodel",
    ] {
        refused(stranger.get(missing).await, 404, "not_found").await;
    }
}

/// The page is told in the reader's language, with the same pictures; what is signed is the same for everybody.
#[tokio::test]
async fn the_shipped_report_is_in_the_language_of_its_reader() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let fetch = async |file: &str, header: (&str, &str)| {
        let asked = stranger.request(Method::GET, &format!("/demo/evaluation/{file}"));
        let answer = asked.header(header.0, header.1).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers().clone();
        (headers, answer.text().await.unwrap())
    };
    let german = ("accept-language", "de-CH,de;q=0.9,en;q=0.1");
    let (_, whole) = fetch("report.html", ("accept-language", "tlh, *")).await;
    let (headers, page) = fetch("report.html", german).await;
    assert_eq!(headers["content-language"], "de");
    assert_eq!(headers["vary"], "accept-language, cookie");
    assert!(page.contains("<html lang=\"de\" dir=\"ltr\">") && whole.contains("<html lang=\"en\""));
    for words in [
        "Der Angriff, der entscheidet",
        "Jede Prüfung",
        "Violet, der Hund, im Angriff",
    ] {
        assert!(page.contains(words) && !whole.contains(words), "{words}");
    }
    for sentence in [
        "The attack that decides",
        "Every test",
        "Skip to the verdict",
        "not tested",
        "<span lang=\"en\">",
        "src=\"picture:",
    ] {
        assert!(!page.contains(sentence), "{sentence}");
    }
    let pictures = |page: &str| page.matches("src=\"data:image/png;base64,").count();
    assert_eq!(pictures(&page), pictures(&whole));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let (english, _) = fetch("report.html", ("if-none-match", &tag)).await;
    assert_eq!(
        english["content-language"], "en",
        "another page than the German one"
    );
    let (chosen, _) = fetch("report.html", ("cookie", "persguard_language=de")).await;
    assert_eq!(chosen["etag"], headers["etag"]);
    let (plain, certificate) = fetch("certificate.json", german).await;
    assert!(plain.get("content-language").is_none() && plain.get("vary").is_none());
    let (_, same) = fetch("certificate.json", ("accept-language", "en")).await;
    assert_eq!(certificate, same);
}

async fn look(server: &Server, gallery: &Gallery) {
    assert!(gallery.references.is_empty() && gallery.protected_unet_url.is_none());
    let stranger = server.stranger();
    let image = stranger.get(&gallery.pairs[0].clean.url).await;
    assert_eq!(image.status(), StatusCode::OK);
    assert_eq!(image.headers()["content-type"], "image/png");
    let found: Gallery = stranger
        .read(&format!("/v1/galleries/{}", gallery.id))
        .await;
    assert_eq!(&found, gallery);
    // Nothing else of the demo account is public.
    let job = format!("/v1/jobs/{}", gallery.protect_job_id);
    refused(stranger.get(&job).await, 401, "unauthenticated").await;
    refused(server.person("eve").await.get(&job).await, 404, "not_found").await;
}

#[tokio::test]
async fn bundled_pictures_are_public_and_nothing_beside_them() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let demo: Demo = stranger.read("/v1/demo").await;
    assert!(demo.protect.is_none());
    let url = &demo.sample_sets[0].image_urls[0];
    let response = stranger.get(url).await;
    assert_eq!(response.headers()["content-type"], "image/png");
    assert!(response.bytes().await.unwrap().starts_with(b"\x89PNG"));
    for path in [
        "/demo/samples/x/01.png",
        "/demo/samples/violet-dog/..%2f..%2fCargo.toml",
    ] {
        refused(stranger.get(path).await, 404, "not_found").await;
    }
}
