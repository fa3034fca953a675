//! What a service has around it: folders, secrets, variables and its user.

use std::{
    env, fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    Composition,
    file::{Compose, Service},
    image::{Image, Kind, on_path},
    place::Mounts,
};

pub(super) fn docker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker")
}

/// Variables of a file, each in a line.
fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once('='))
}

impl Composition {
    pub(super) fn mounts(&self, name: &str) -> Result<Mounts> {
        let service = self.compose.service(name)?;
        let mut mounts = Mounts::default();
        mounts.add("/opt/persguard", self.root.path().join("programs"));
        for (there, here) in [
            ("/garage", on_path("garage")),
            (
                "/nats-server",
                env::var_os("PERSGUARD_NATS_SERVER").map(PathBuf::from),
            ),
        ] {
            if let Some(here) = here {
                mounts.add(there, here);
            }
        }
        for volume in &service.volumes {
            let mut parts = volume.split(':');
            let (from, there) = parts.next().zip(parts.next()).context("no target")?;
            let here = match from.strip_prefix("./") {
                Some(file) => self.folder(name).join(file),
                None => self.root.path().join("volumes").join(from),
            };
            let known = from.starts_with("./") || self.compose.volumes.contains_key(from);
            ensure!(known, "no volume {from}");
            mounts.add(there, here);
        }
        for secret in &service.secrets {
            let here = self.folder(name).join(secret);
            mounts.add(&format!("/run/secrets/{secret}"), here);
        }
        Ok(mounts)
    }

    /// Makes what the mounts of a service lead to.
    pub(super) fn lay(&self, name: &str, image: &Image) -> Result<()> {
        let (service, mounts) = (self.compose.service(name)?, self.mounts(name)?);
        for volume in &service.volumes {
            let (from, there) = volume.split_once(':').context("no target")?;
            let there = there.trim_end_matches(":ro");
            let here = mounts.path(there).context("it was added")?;
            if let Some(file) = from.strip_prefix("./") {
                let text = fs::read_to_string(docker().join(file))?;
                fs::write(here, self.hosts.settings(name, &mounts, &text))?;
                continue;
            }
            fs::create_dir_all(&here)?;
            if let Some((user, group)) = image.user.filter(|_| is_root()) {
                chown(&here, Some(user), Some(group))?;
            }
        }
        for secret in &service.secrets {
            let source = self.compose.secrets.get(secret);
            let source = source.with_context(|| format!("no secret {secret}"))?;
            let source = self.root.path().join("docker").join(&source.file);
            let text = fs::read_to_string(&source)?;
            let here = self.folder(name).join(secret);
            fs::write(&here, self.hosts.here(name, &mounts, &text)?)?;
            fs::set_permissions(here, fs::metadata(source)?.permissions())?;
        }
        Ok(())
    }

    /// Words in the place of a service's command, with all that it has.
    pub(super) fn command(&self, name: &str, words: &[String]) -> Result<Command> {
        let service = self.compose.service(name)?;
        let (image, mounts) = (image(&self.compose, service)?, self.mounts(name)?);
        let here = |text: &str| self.hosts.here(name, &mounts, text);
        // Whoever kills the tests kills the services too.
        let mut command = Command::new("setpriv");
        command.env_clear().args(["--pdeathsig", "KILL"]);
        if service
            .security_opt
            .iter()
            .any(|it| it == "no-new-privileges:true")
        {
            command.arg("--no-new-privs");
        }
        if let Some((user, group)) = image.user.filter(|_| is_root()) {
            let (user, group) = (user.to_string(), group.to_string());
            command.args(["--reuid", &user, "--regid", &group, "--clear-groups"]);
        }
        command.arg("--");
        for word in words {
            command.arg(here(word)?);
        }
        let mut set = image.environment;
        for file in &service.env_file {
            let text = fs::read_to_string(self.root.path().join("docker").join(file))?;
            set.extend(variables(&text).map(|(name, value)| (name.into(), value.into())));
        }
        set.extend(service.environment.clone());
        for (name, value) in set {
            command.env(name, here(&value)?);
        }
        match image.kind {
            // Its image has the file where it looks for it.
            Kind::Garage => {
                command.env("GARAGE_CONFIG_FILE", here("/etc/garage.toml")?);
            }
            // Within its container it is reached by a socket.
            Kind::Postgres => {
                let (_, server) = self.postgres.as_ref().context("it does not run")?;
                command.env(
                    "PATH",
                    format!("{}:/usr/bin:/bin", server.binaries().display()),
                );
                command.env("PGHOST", "127.0.0.1");
                command.env("PGPORT", server.port().to_string());
            }
            Kind::Nats | Kind::Ours => {}
        }
        Ok(command)
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// What a service's image says, from the Dockerfile where the file builds it.
pub(super) fn image(compose: &Compose, service: &Service) -> Result<Image> {
    let mut same = compose.services.values();
    let built = same.find_map(|other| {
        let build = other.build.as_ref()?;
        (other.image == service.image).then_some(build)
    });
    let Some(build) = built else {
        return Image::of_others(&service.image);
    };
    let place = docker().join(&build.context).join(&build.dockerfile);
    Image::of_stage(&fs::read_to_string(place)?, &build.target)
}
