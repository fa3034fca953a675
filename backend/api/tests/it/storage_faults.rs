//! Faults of a bucket under uploads through the API: what is refused may be tried again, nothing is half there, and
//! nothing stays that nobody needs.

use std::{fs, path::PathBuf};

use reqwest::{Response, StatusCode};
use serde_json::json;
use shared::{
    image::ProtectedImage,
    protected_set::ProtectedSet,
    upload::{Upload, UploadStatus},
};
use tempfile::TempDir;

use crate::{
    kills::{Tally, count},
    s3_server::{ACCESS_KEY, BUCKET, Fault, S3Server, SECRET_KEY},
    storage::start,
    support::{Person, Server, body, png, refused},
};

const OBJECTS: &str = "/artifacts/here/objects/";

struct World {
    root: TempDir,
    storage: S3Server,
    tally: Tally,
}

impl World {
    async fn new() -> (Self, Server) {
        let (root, storage, server) = start().await;
        let world = Self {
            root,
            storage,
            tally: Tally::default(),
        };
        (world, server)
    }

    fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// The next requests like this one are refused so.
    fn order(&mut self, request: &str, times: usize, status: u16, code: &'static str) {
        for _ in 0..times {
            let fault = Fault::Refuse(status, code);
            self.storage.manners.order(request, fault);
        }
        self.tally.faults += 1;
    }

    /// Says what was counted, once everything that nobody needs has had its time.
    async fn end(mut self, server: &Server, before: usize, pictures: usize) {
        assert_eq!(self.storage.manners.left(), 0, "every fault happened");
        let here = self.bucket().join("here");
        let expected = before + 2 * pictures;
        self.tally.sweep(server, &here, expected).await;
        self.tally.tell();
    }
}

/// A picture that was announced and has arrived.
async fn sent(person: &Person<'_>, set: &ProtectedSet, shade: u8) -> Upload {
    let bytes = png(64, 64, shade);
    let answer = person.announce(set, "a.png", &bytes).await;
    let upload: Upload = body(answer, StatusCode::CREATED).await;
    assert!(person.send(&upload, &bytes).await.status().is_success());
    upload
}

async fn complete(person: &Person<'_>, upload: &Upload) -> Response {
    let path = format!("/v1/uploads/{}/complete", upload.id);
    person.post(&path, &json!({})).await
}

/// Nothing is to be seen of an upload whose completion was refused.
async fn unavailable(person: &Person<'_>, upload: &Upload, set: &ProtectedSet, images: usize) {
    refused(complete(person, upload).await, 503, "storage_unavailable").await;
    let set: ProtectedSet = person.read(&format!("/v1/protected-sets/{}", set.id)).await;
    assert_eq!(set.images.len(), images, "half a picture");
}

/// The same upload once everything works: a picture that its owner sees.
async fn works(person: &Person<'_>, upload: &Upload) -> ProtectedImage {
    let done: Upload = body(complete(person, upload).await, StatusCode::OK).await;
    assert_eq!(done.status, UploadStatus::Completed);
    let image = done.image.expect("a picture");
    for url in [&image.url, &image.thumbnail_url] {
        assert_eq!(person.get(url).await.status(), StatusCode::OK);
    }
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_survive_every_fault_of_their_bucket() {
    let (mut world, server) = World::new().await;
    let before = count(&world.bucket().join("here"));
    let ada = server.person("ada").await;
    let set = ada.set("x").await;

    // The bucket is gone: the picture is still on its way, and later there.
    let upload = sent(&ada, &set, 0).await;
    let away = world.root.path().join("away");
    fs::rename(world.bucket(), &away).unwrap();
    world.tally.faults += 1;
    unavailable(&ada, &upload, &set, 0).await;
    fs::rename(&away, world.bucket()).unwrap();
    works(&ada, &upload).await;

    // The keys were changed under the server.
    let upload = sent(&ada, &set, 1).await;
    world.storage.manners.rotate(ACCESS_KEY, "another secret");
    world.tally.faults += 1;
    unavailable(&ada, &upload, &set, 1).await;
    world.storage.manners.rotate(ACCESS_KEY, SECRET_KEY);
    works(&ada, &upload).await;

    // The service is full, first when it takes the file in, then when it keeps the sealed picture; between them it
    // refuses to hand the file out.
    let upload = sent(&ada, &set, 2).await;
    let put = format!("PUT {OBJECTS}");
    world.order(&put, 1, 507, "InsufficientStorage");
    unavailable(&ada, &upload, &set, 2).await;
    world.order(&format!("GET {OBJECTS}"), 1, 403, "AccessDenied");
    unavailable(&ada, &upload, &set, 2).await;
    world.order(&put, 1, 507, "InsufficientStorage");
    unavailable(&ada, &upload, &set, 2).await;
    works(&ada, &upload).await;

    // It is down for longer than anybody asks again.
    let upload = sent(&ada, &set, 3).await;
    world.order("HEAD ", 6, 500, "InternalError");
    unavailable(&ada, &upload, &set, 3).await;
    works(&ada, &upload).await;

    // The line breaks in both directions; that is asked again at once.
    let upload = sent(&ada, &set, 4).await;
    world.storage.line.down.break_after(600);
    world.storage.line.up.break_after(2_000);
    world.tally.faults += 2;
    works(&ada, &upload).await;
    assert!(world.storage.line.up.is_quiet() && world.storage.line.down.is_quiet());

    // Two at once get the same picture.
    let upload = sent(&ada, &set, 5).await;
    world.tally.faults += 1;
    let (one, other) = tokio::join!(works(&ada, &upload), works(&ada, &upload));
    assert_eq!(one.id, other.id);
    world.end(&server, before, 6).await;
}
