//! A PostgreSQL for this run: the one that `PERSGUARD_TEST_POSTGRES_URL` names, or our own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

/// Initialises, serves until standard input ends, that is until the tests end, and cleans up.
/// PostgreSQL refuses root: as root, everything runs as user postgres.
const SERVE: &str = r#"
set -e
bin="$1" directory="$2" port="$3"
as=""
if [ "$(id -u)" = 0 ]; then
    chown postgres "$directory"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
fi
cd "$directory"
server=""
stop() {
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$directory"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP
$as "$bin/initdb" -A trust -U postgres --no-sync --locale=C -D "$directory/data" >"$directory/log" 2>&1
$as "$bin/postgres" -D "$directory/data" -h 127.0.0.1 -p "$port" -k "" \
    -c fsync=off -c max_connections=200 >>"$directory/log" 2>&1 </dev/null &
server=$!
read -r _ || true
"#;

/// URL of the server without a database name; `None` where there is no PostgreSQL.
pub(crate) fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            if let Some(url) = std::env::var_os("PERSGUARD_TEST_POSTGRES_URL") {
                let url = url.into_string().expect("the URL is UTF-8");
                let (server, _) = url.rsplit_once('/').expect("the URL names a database");
                return Some(server.to_owned());
            }
            binaries().map(|binaries| start(&binaries))
        })
        .as_deref()
}

fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(installed.flatten().map(|entry| entry.path().join("bin")));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn start(binaries: &Path) -> String {
    let directory = tempfile::Builder::new()
        .prefix("persguard-postgres-")
        .tempdir()
        .expect("a directory can be made")
        .keep();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    drop(listener);
    let script = Command::new("sh")
        .args(["-c", SERVE, "serve"])
        .arg(binaries)
        .arg(&directory)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    // The pipe must stay open until this process ends, whatever ends it.
    std::mem::forget(script);
    await_ready(&directory, port);
    format!("postgres://postgres@127.0.0.1:{port}")
}

fn await_ready(directory: &Path, port: u16) {
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    panic!("PostgreSQL did not start within 30 seconds: {log}");
}
