//! Starts and stops everything: database, artifact store, dispatch, local node, HTTP.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use listenfd::ListenFd;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    app::{App, base_models, demo, mail, tokens::Audience, unpacking, vault, webhooks},
    clock::{Clock, SystemClock},
    config::Config,
    connections, demonstration,
    dispatch::{self, local_node::LocalNode},
    router, sibling,
};

/// Longest wait for open requests after a stop was asked for.
const GRACE: Duration = Duration::from_secs(8);

/// Brings the database up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let config = &config.clone().with_secrets()?;
    prepare_directory(&config.data_dir)?;
    migrations::migrate(&config.database_url())
        .await
        .context("the database was not migrated")
}

/// Gives every organisation a new key for its pictures, under a new master key; beside a running server or without one.
pub async fn rotate_keys(config: Config) -> anyhow::Result<vault::Rotated> {
    let address = config.address;
    let app = open_app(config, address, Arc::new(SystemClock)).await?;
    vault::rotate(&app)
        .await
        .map_err(|error| anyhow::anyhow!("{error} {}", error.cause().unwrap_or_default()))
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let listener = listen(config.address).await?;
    let app = open(config, listener.local_addr()?, Arc::new(SystemClock)).await?;
    stop_on_signal(&app);
    run(app, listener).await
}

/// The socket that whoever started this process keeps open (`LISTEN_FDS`, as systemd does: while the server is started
/// anew, callers wait instead of being refused), or a new one.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let given = ListenFd::from_env().take_tcp_listener(0);
    let Some(socket) = given.context("what LISTEN_FDS names is no TCP socket")? else {
        let own = TcpListener::bind(address).await;
        return own.with_context(|| format!("cannot listen on {address}"));
    };
    socket.set_nonblocking(true)?;
    // Children have no use for it.
    #[cfg(unix)]
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(TcpListener::from_std(socket)?)
}

/// Lets Ctrl-C and SIGTERM stop the server.
pub(crate) fn stop_on_signal(app: &App) {
    let stop = app.stop().clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("stopping");
        stop.cancel();
    });
}

/// Opens everything that requests need, for a server at `address`.
pub async fn open(
    config: Config,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<App> {
    let app = open_app(config, address, clock).await?;
    let model = base_models::register_embedded(&app).await?;
    if app.config().demo {
        demo::prepare(&app, &model).await?;
    }
    Ok(app)
}

/// Opens stores and keys, on a database that is up to date.
async fn open_app(
    config: Config,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<App> {
    let mut config = config.with_secrets()?;
    prepare_directory(&config.data_dir)?;
    // The local node gets paths under it and may run elsewhere.
    config.data_dir = fs::canonicalize(&config.data_dir)?;
    config.frontend_dir = config.frontend_dir.or_else(demonstration::frontend_beside);
    migrate(&config).await?;
    App::open(config, address, clock).await
}

/// Answers requests and drives jobs until the app's stop is asked for.
pub async fn run(app: App, listener: TcpListener) -> anyhow::Result<()> {
    let stop = app.stop().clone();
    let address = listener.local_addr()?;
    let mut tasks = JoinSet::new();
    tasks.spawn(dispatch::leader::run(app.clone()));
    tasks.spawn(dispatch::look::run(app.clone()));
    tasks.spawn(dispatch::broker::run(app.clone()));
    tasks.spawn(webhooks::sender::run(app.clone()));
    tasks.spawn(mail::run(app.clone()));
    tasks.spawn(vault::catch_up(app.clone()));
    tasks.spawn(unpacking::resume(app.clone()));
    if app.config().local_node {
        tasks.spawn(local_node(&app, address)?.supervise(stop.clone()));
    }
    let answering = connections::answer(listener, router::router(app.clone()), stop.clone());
    let server = tokio::spawn(answering);
    announce(&app, address)?;
    stop.cancelled().await;
    // Downloads may go on for long; what is still open after the grace is cut.
    if tokio::time::timeout(GRACE, server).await.is_err() {
        tracing::warn!("open requests were cut");
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("work that did not stop was cut; it is taken up again at the next start");
    }
    Ok(())
}

fn announce(app: &App, address: SocketAddr) -> anyhow::Result<()> {
    fs::write(app.config().data_dir.join("address"), address.to_string())?;
    tracing::info!(%address, url = app.public_url(), "listening");
    Ok(())
}

fn local_node(app: &App, address: SocketAddr) -> anyhow::Result<LocalNode> {
    Ok(LocalNode {
        program: sibling::program().context("the own executable is unknown")?,
        url: format!("http://{address}"),
        token: app.tokens().issue(Audience::Node, "local", app.now())?,
        directory: app.config().data_dir.join("node"),
        threads: app.config().node_threads,
        log: app.config().node_log.clone(),
        traces: app.config().traces.clone(),
    })
}

pub(crate) fn prepare_directory(path: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

async fn wait_for_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        if let Ok(mut terminate) = tokio::signal::unix::signal(kind) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
