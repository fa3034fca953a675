//! Against a real socket that answers what a test tells it to.

use std::path::PathBuf;

use super::*;
use crate::testing::Server;

fn input(role: InputRole, name: &str, announced: &[u8]) -> JobInput {
    JobInput {
        role,
        name: name.to_owned(),
        sha256: hex::encode(Sha256::digest(announced)),
        size_bytes: announced.len() as u64,
        url: "/blobs/x".to_owned(),
    }
}

struct Folders {
    root: tempfile::TempDir,
    server: Server,
}

impl Folders {
    async fn serving(body: &'static [u8]) -> Self {
        let root = tempfile::tempdir().expect("a test folder");
        std::fs::create_dir_all(root.path().join("cache")).expect("a test folder");
        Self {
            root,
            server: Server::answering(vec![(200, body)]).await,
        }
    }

    async fn fetch(&self, work: &str, input: JobInput) -> Result<BTreeMap<usize, Pictures>> {
        self.fetch_by(&self.cache(), work, input).await
    }

    fn cache(&self) -> Cache {
        Cache::new(self.root.path().join("cache"))
    }

    async fn fetch_by(
        &self,
        cache: &Cache,
        work: &str,
        input: JobInput,
    ) -> Result<BTreeMap<usize, Pictures>> {
        let work = self.root.path().join(work);
        fetch_inputs(&self.server.client, &[input], cache, &work).await
    }

    fn requests(&self) -> usize {
        self.server.bodies().len()
    }
}

#[tokio::test]
async fn a_model_file_is_fetched_once() {
    let folders = Folders::serving(b"weights").await;
    let file = input(InputRole::ModelFile, "unet/weights", b"weights");
    folders.fetch("one", file.clone()).await.unwrap();
    folders.fetch("two", file).await.unwrap();
    let second = folders.root.path().join("two/model/unet/weights");
    assert_eq!(std::fs::read(second).unwrap(), b"weights");
    assert_eq!(folders.requests(), 1);
}

#[tokio::test]
async fn two_jobs_that_want_one_file_at_once_fetch_it_once() {
    let weights: &[u8] = vec![7; 1 << 20].leak();
    let folders = Folders::serving(weights).await;
    let cache = folders.cache();
    let file = input(InputRole::ModelFile, "unet/weights", weights);
    let works = ["one", "two", "three"];
    let fetches = works.map(|work| folders.fetch_by(&cache, work, file.clone()));
    for fetched in futures::future::join_all(fetches).await {
        fetched.unwrap();
    }
    for work in works {
        let fetched = folders.root.path().join(work).join("model/unet/weights");
        assert_eq!(std::fs::read(fetched).unwrap(), weights, "{work}");
    }
    assert_eq!(folders.requests(), 1);
    let cached = std::fs::read_dir(folders.root.path().join("cache")).unwrap();
    assert_eq!(cached.count(), 1, "nothing half stays");
}

#[tokio::test]
async fn a_damaged_cache_is_not_trusted() {
    let folders = Folders::serving(b"weights").await;
    let file = input(InputRole::ModelFile, "weights", b"weights");
    std::fs::write(
        folders.root.path().join("cache").join(&file.sha256),
        b"WEIGHTS",
    )
    .unwrap();
    folders.fetch("one", file).await.unwrap();
    let fetched = folders.root.path().join("one/model/weights");
    assert_eq!(std::fs::read(fetched).unwrap(), b"weights");
}

#[tokio::test]
async fn other_bytes_than_announced_are_refused_and_leave_nothing() {
    let folders = Folders::serving(b"tampered").await;
    let error = folders
        .fetch(
            "one",
            input(InputRole::ProtectedImage, "00/000.png", b"original"),
        )
        .await;
    assert!(matches!(error, Err(Error::Damaged { .. })), "{error:?}");
    assert_eq!(folders.requests(), 3);
    let left = std::fs::read_dir(folders.root.path().join("one/images/00")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn more_bytes_than_announced_are_refused() {
    let folders = Folders::serving(b"twice as long as it said").await;
    let error = folders
        .fetch("one", input(InputRole::Resume, "r", b"short"))
        .await;
    assert!(matches!(error, Err(Error::Damaged { .. })), "{error:?}");
}

#[tokio::test]
async fn names_stay_below_their_directory() {
    let folders = Folders::serving(b"x").await;
    for name in ["../x", "/etc/x", "a/../../x", "", "a\\..\\x"] {
        let error = folders
            .fetch("one", input(InputRole::ModelFile, name, b"x"))
            .await;
        assert!(
            matches!(error, Err(Error::UnsafeName(_))),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn protected_images_never_enter_the_cache() {
    let folders = Folders::serving(b"picture").await;
    let images = folders
        .fetch(
            "one",
            input(InputRole::ProtectedImage, "02/000.png", b"picture"),
        )
        .await;
    assert_eq!(
        images.unwrap()[&2].images,
        [PathBuf::from("images/02/000.png")]
    );
    let cached = std::fs::read_dir(folders.root.path().join("cache")).unwrap();
    assert_eq!(cached.count(), 0);
}

#[tokio::test]
async fn pictures_belong_to_a_concept() {
    let folders = Folders::serving(b"picture").await;
    let patch = folders
        .fetch("one", input(InputRole::Patch, "01.png", b"picture"))
        .await;
    let patch = patch.unwrap().remove(&1).and_then(|own| own.patch);
    assert_eq!(patch, Some(PathBuf::from("patches/01.png")));
    for name in ["a.png", "", "../00.png", "-1/000.png"] {
        for role in [InputRole::ProtectedImage, InputRole::Patch] {
            let error = folders.fetch("two", input(role, name, b"picture")).await;
            assert!(
                matches!(error, Err(Error::UnsafeName(_))),
                "{name}: {error:?}"
            );
        }
    }
}
