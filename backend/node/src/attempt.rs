//! One attempt at one job: fetch, train, send, tell.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use diffusion::{device::DeviceName, pipeline::MODEL_WEIGHTS};
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    canonical::sha256_hex,
    job::JobMetrics,
    node::{AttemptResult, FinishAttempt, InputRole, JobInput, JobOutput, Lease},
};
use telemetry::Span;
use tokio::{
    process::Command,
    sync::{mpsc, watch},
};

use crate::{
    Error, Result,
    client::Client,
    config::{COLLECTOR_SECRETS, TOKEN_VARIABLE},
    failure,
    heart::{Heart, Order, give, interruption},
    message::{ASSIGNMENT, Assignment, Message, Output},
    snapshots::{self, Snapshot},
    trainer::{self, Ended},
    transfer::{self, Cache},
};

/// Outputs sent at a time: a gallery is a hundred small files.
const PARALLEL_UPLOADS: usize = 4;
/// Folder of the base model's U-Net in the diffusers layout.
const UNET: &str = "unet/";

/// What every attempt in one slot of this node shares.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    pub(crate) client: Client,
    /// Model files by hash.
    pub(crate) cache: Cache,
    /// What the clean models drew for earlier jobs.
    pub(crate) teacher: PathBuf,
    /// Directories of jobs under way.
    pub(crate) work: PathBuf,
    /// Threads of the trainer.
    pub(crate) threads: u32,
    /// Where it computes.
    pub(crate) device: DeviceName,
    /// Folder of supplied networks.
    pub(crate) networks: Option<PathBuf>,
    /// The program that is started with `work DIR DEVICE`.
    pub(crate) program: PathBuf,
    /// How long a job may go on once the node is told to stop.
    pub(crate) drain: Duration,
}

/// Works on a lease to its end, whatever that is, and tells the server.
pub(crate) async fn run(workshop: &Workshop, lease: Lease, stop: watch::Receiver<bool>) {
    let span = Span::handed_over("attempt", lease.traceparent.as_deref());
    span.set("persguard.job.id", lease.job_id.to_string());
    span.set("persguard.job.attempt", i64::from(lease.attempt));
    span.within(Box::pin(work_on(workshop, lease, stop))).await;
}

async fn work_on(workshop: &Workshop, lease: Lease, mut stop: watch::Receiver<bool>) {
    let (orders, mut listener) = watch::channel(Order::Continue);
    let heart = Heart::start(&workshop.client, &lease, orders.clone());
    let (leaving, drain) = (orders.clone(), workshop.drain);
    let farewell = tokio::spawn(async move {
        if stop.wait_for(|stop| *stop).await.is_ok() {
            tokio::time::sleep(drain).await;
            give(&leaving, Order::Leave);
        }
    });
    let directory = workshop
        .work
        .join(format!("{}-{}", lease.job_id, lease.token));
    let attempt = Attempt {
        workshop,
        lease: &lease,
        directory: &directory,
        heart: &heart,
        orders: &orders,
    };
    let outcome = match attempt.perform(&mut listener).await {
        Ok(outcome) => outcome,
        Err(Error::Fenced) => None,
        Err(error) => Some(AttemptResult::Failed {
            failure: failure::of_error(&error),
        }),
    };
    attempt.tell(outcome).await;
    farewell.abort();
    // Protected images lie in there: they go whatever happened.
    if let Err(error) = tokio::fs::remove_dir_all(&directory).await {
        tracing::error!(%error, directory = %directory.display(), "the job's directory stays");
    }
}

struct Attempt<'a> {
    workshop: &'a Workshop,
    lease: &'a Lease,
    directory: &'a Path,
    heart: &'a Heart,
    orders: &'a watch::Sender<Order>,
}

impl Attempt<'_> {
    /// `None` means that the lease is gone and nobody waits for a word.
    async fn perform(&self, orders: &mut watch::Receiver<Order>) -> Result<Option<AttemptResult>> {
        tokio::select! {
            prepared = step("prepare", self.prepare()) => prepared?,
            order = interruption(orders) => return Ok(answer(order)),
        }
        let ended = step("train", self.train(orders)).await?;
        let order = *orders.borrow();
        if order != Order::Continue {
            return Ok(answer(order));
        }
        let (outputs, metrics) = match ended {
            Ended::Said(Message::Succeeded { outputs, metrics }) => (outputs, metrics),
            Ended::Said(Message::Failed { failure }) | Ended::Died(failure) => {
                return Ok(Some(AttemptResult::Failed { failure }));
            }
            // It was told to stop by somebody else than us: its work is worth another attempt.
            Ended::Said(_) => return Ok(Some(AttemptResult::Released)),
        };
        tokio::select! {
            sent = step("upload", self.send(outputs, metrics)) => sent.map(Some),
            order = interruption(orders) => Ok(answer(order)),
        }
    }

    async fn prepare(&self) -> Result<()> {
        let inputs = &self.lease.inputs;
        make(self.directory).await?;
        let Workshop { client, cache, .. } = self.workshop;
        let fetching = transfer::fetch_inputs(client, inputs, cache, self.directory);
        let pictures = step("download", fetching).await?;
        let hash_of = |role: InputRole| {
            let found = inputs.iter().find(|input| input.role == role);
            found.map(|input| input.sha256.clone())
        };
        let assignment = Assignment {
            job_id: self.lease.job_id,
            kind: self.lease.kind,
            spec: self.lease.spec.clone(),
            pictures,
            teacher_cache: Some(self.workshop.teacher.clone()),
            networks: self.workshop.networks.clone(),
            start_sha256: hash_of(InputRole::StartUnet),
            resume: inputs.iter().any(|input| input.role == InputRole::Resume),
            base_sha256: model_sha256(inputs),
            clean_sha256: unet_sha256(inputs),
            protected_sha256: hash_of(InputRole::ProtectedUnet).unwrap_or_default(),
        };
        let path = self.directory.join(ASSIGNMENT);
        let text = serde_json::to_vec(&assignment).map_err(|error| Error::Trainer(error.into()))?;
        tokio::fs::write(&path, text)
            .await
            .map_err(Error::file(&path))
    }

    async fn train(&self, orders: &mut watch::Receiver<Order>) -> Result<Ended> {
        let mut command = Command::new(&self.workshop.program);
        command
            .arg("work")
            .arg(self.directory)
            .arg(self.workshop.device.to_string())
            .env_remove(TOKEN_VARIABLE)
            .env_remove(COLLECTOR_SECRETS)
            .env("RAYON_NUM_THREADS", self.workshop.threads.to_string())
            // candle's own pool spins beside ours.
            .env("CANDLE_NUM_THREADS", "1")
            // Memory that goes back after every step is cleared by the kernel for the next one.
            .env("MIMALLOC_PURGE_DELAY", "-1")
            .env("RUST_BACKTRACE", "0");
        let (made, receiver) = mpsc::unbounded_channel::<Snapshot>();
        let mut sending = tokio::spawn(telemetry::carried(snapshots::send_newest(
            self.workshop.client.clone(),
            self.lease.job_id,
            self.lease.token,
            receiver,
            self.orders.clone(),
        )));
        let ended = trainer::run(command, orders, |message| match message {
            Message::Running => self.heart.set_running(),
            Message::Progress { progress } => self.heart.report(progress),
            Message::Snapshot { step, path } => {
                let _ = made.send((step, self.directory.join(path)));
            }
            _ => {}
        })
        .await;
        // A result needs no snapshot; a death does: the one on its way is the next one's start.
        drop(made);
        if matches!(ended, Ok(Ended::Died(_))) && *orders.borrow() == Order::Continue {
            tokio::select! {
                _ = &mut sending => {}
                _ = interruption(orders) => {}
            }
        }
        sending.abort();
        ended
    }

    async fn send(&self, outputs: Vec<Output>, metrics: JobMetrics) -> Result<AttemptResult> {
        let outputs = stream::iter(outputs)
            .map(|output| self.send_one(output))
            .buffered(PARALLEL_UPLOADS)
            .try_collect()
            .await?;
        Ok(AttemptResult::Succeeded { outputs, metrics })
    }

    async fn send_one(&self, output: Output) -> Result<JobOutput> {
        let Workshop { client, .. } = self.workshop;
        let path = self.directory.join(&output.path);
        let (sha256, size_bytes) =
            transfer::send(client, self.lease.job_id, self.lease.token, &path).await?;
        Ok(JobOutput {
            kind: output.kind,
            name: output.name,
            sha256,
            size_bytes,
        })
    }

    async fn tell(&self, outcome: Option<AttemptResult>) {
        let job = self.lease.job_id;
        let Some(outcome) = outcome else {
            tracing::warn!(job.id = %job, "the lease is gone; the work is dropped");
            telemetry::note("persguard.job.outcome", "fenced");
            return;
        };
        if outcome != AttemptResult::Released {
            self.heart.flush().await;
        }
        tracing::info!(job.id = %job, outcome = name(&outcome), "attempt ended");
        telemetry::note("persguard.job.outcome", name(&outcome));
        if matches!(outcome, AttemptResult::Failed { .. }) {
            telemetry::failed("failed");
        }
        let finish = FinishAttempt {
            token: self.lease.token,
            outcome,
        };
        if let Err(error) = self.workshop.client.finish(job, &finish).await {
            tracing::error!(job.id = %job, %error, "the server did not take the result");
        }
    }
}

/// A part of the attempt that takes its time.
async fn step<T>(name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    Span::step(name).attempt(Box::pin(work)).await
}

/// What an order ends an attempt with.
fn answer(order: Order) -> Option<AttemptResult> {
    match order {
        Order::Cancel => Some(AttemptResult::Canceled),
        Order::Leave => Some(AttemptResult::Released),
        Order::Fenced | Order::Continue => None,
    }
}

fn name(outcome: &AttemptResult) -> &'static str {
    match outcome {
        AttemptResult::Succeeded { .. } => "succeeded",
        AttemptResult::Failed { .. } => "failed",
        AttemptResult::Canceled => "canceled",
        AttemptResult::Released => "released",
    }
}

/// Over the sorted list of the model's files, as the server pins it.
fn model_sha256(inputs: &[JobInput]) -> String {
    let is_model = |role| matches!(role, InputRole::ModelFile | InputRole::Encoder);
    list_sha256(inputs.iter().filter(|input| is_model(input.role)))
}

/// Of the base model's U-Net: of its one file, or of the sorted list of its safetensors files where an index holds several
/// together. The pipeline loads the same first name that is there.
fn unet_sha256(inputs: &[JobInput]) -> String {
    let in_unet =
        |input: &&JobInput| input.role == InputRole::ModelFile && input.name.starts_with(UNET);
    let files = inputs.iter().filter(in_unet);
    let loaded = MODEL_WEIGHTS
        .iter()
        .find_map(|name| files.clone().find(|file| file.name[UNET.len()..] == **name));
    match loaded {
        None => String::new(),
        Some(file) if Path::new(&file.name).extension() == Some("json".as_ref()) => {
            list_sha256(files.filter(|file| file.name.ends_with(".safetensors")))
        }
        Some(file) => file.sha256.clone(),
    }
}

/// Of the lines that `sha256sum` prints for these files in the order of their names.
fn list_sha256<'a>(files: impl Iterator<Item = &'a JobInput>) -> String {
    let mut files: Vec<_> = files.collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let lines = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name));
    sha256_hex(lines.collect::<String>().as_bytes())
}

async fn make(directory: &Path) -> Result<()> {
    tokio::fs::create_dir_all(directory)
        .await
        .map_err(Error::file(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(role: InputRole, name: &str) -> JobInput {
        JobInput {
            role,
            name: name.to_owned(),
            sha256: sha256_hex(name.as_bytes()),
            size_bytes: 1,
            url: String::new(),
        }
    }

    fn unet(names: &[&str]) -> String {
        let others = [
            input(
                InputRole::Encoder,
                "unet/diffusion_pytorch_model.safetensors",
            ),
            input(InputRole::ModelFile, "unet/config.json"),
            input(
                InputRole::ModelFile,
                "vae/diffusion_pytorch_model.safetensors",
            ),
        ];
        let files = names.iter().map(|name| input(InputRole::ModelFile, name));
        unet_sha256(&others.into_iter().chain(files).collect::<Vec<_>>())
    }

    #[test]
    fn unet_of_one_file_has_the_hash_of_that_file() {
        let plain = "unet/diffusion_pytorch_model.safetensors";
        let half = "unet/diffusion_pytorch_model.fp16.safetensors";
        assert_eq!(unet(&[plain]), sha256_hex(plain.as_bytes()));
        assert_eq!(unet(&[half]), sha256_hex(half.as_bytes()));
        // The one that is loaded where there are both.
        assert_eq!(unet(&[half, plain]), sha256_hex(plain.as_bytes()));
        assert_eq!(unet(&[]), "");
    }

    #[test]
    fn unet_of_several_files_has_the_hash_of_their_list() {
        let parts = [
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        ];
        let line = |name: &str| format!("{}  {name}\n", sha256_hex(name.as_bytes()));
        let list = sha256_hex(parts.map(line).concat().as_bytes());
        for index in [
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        ] {
            assert_eq!(unet(&[index, parts[1], parts[0]]), list);
        }
        let whole = "unet/diffusion_pytorch_model.safetensors";
        let index = "unet/diffusion_pytorch_model.safetensors.index.json";
        let both = unet(&[index, parts[0], parts[1], whole]);
        assert_eq!(both, sha256_hex(whole.as_bytes()));
    }
}
