//! The tests' S3 server as a program, where no Garage is installed: `bucket_server ROOT` takes its bucket and keys from
//! Garage's variables, says its address in one line, and serves until it is killed.

#[path = "../tests/it/s3_server/mod.rs"]
mod s3_server;

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
};

use s3_server::S3Server;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// As Garage reads it at its start with `--default-bucket`.
fn variable(name: &str) -> Outcome<String> {
    let value = env::var_os(format!("GARAGE_DEFAULT_{name}"));
    let value = value.and_then(|value| value.into_string().ok());
    Ok(value.ok_or_else(|| format!("GARAGE_DEFAULT_{name} is not set"))?)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let root = env::args_os().nth(1).map(PathBuf::from);
    let root = root.ok_or("give the folder of its buckets")?;
    std::fs::create_dir_all(root.join(variable("BUCKET")?))?;
    let server = S3Server::start(Path::new(&root)).await;
    let keys = (variable("ACCESS_KEY")?, variable("SECRET_KEY")?);
    server.manners.rotate(&keys.0, &keys.1);
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.endpoint)?;
    out.flush()?;
    std::future::pending().await
}
