//! What images say of themselves: ours in the Dockerfile, those of others as their publishers document them.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Which program an image is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Ours,
    Postgres,
    Garage,
    Nats,
}

/// An image's settings.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) kind: Kind,
    pub(super) environment: BTreeMap<String, String>,
    /// Whom it runs as, by numbers.
    pub(super) user: Option<(u32, u32)>,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) health: Vec<String>,
    /// Where it listens beside what a file publishes.
    pub(super) ports: Vec<u16>,
}

impl Image {
    /// A stage of our Dockerfile.
    pub(super) fn of_stage(dockerfile: &str, target: &str) -> Result<Self> {
        let text = dockerfile.replace("\\\n", " ");
        let mut stage: Option<Self> = None;
        for line in text.lines() {
            let (word, rest) = line.trim().split_once(' ').unwrap_or_default();
            if word == "FROM" {
                if stage.is_some() {
                    break;
                }
                stage = rest.ends_with(&format!(" AS {target}")).then(Self::default);
            } else if let Some(image) = &mut stage {
                image
                    .add(word, rest.trim())
                    .with_context(|| line.to_owned())?;
            }
        }
        stage.with_context(|| format!("no stage {target}"))
    }

    fn add(&mut self, word: &str, rest: &str) -> Result<()> {
        match word {
            "ENV" => {
                for pair in rest.split_whitespace() {
                    let (name, value) = pair.split_once('=').context("no value")?;
                    self.environment.insert(name.into(), value.into());
                }
            }
            "USER" => {
                let (user, group) = rest.split_once(':').context("no group")?;
                self.user = Some((user.parse()?, group.parse()?));
            }
            "ENTRYPOINT" => self.entrypoint = serde_json::from_str(rest)?,
            "CMD" => self.command = serde_json::from_str(rest)?,
            "HEALTHCHECK" => {
                let (_, command) = rest.split_once("CMD ").context("no command")?;
                self.health = serde_json::from_str(command)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Somebody else's.
    pub(super) fn of_others(name: &str) -> Result<Self> {
        let (kind, port, entrypoint) = match name.split(':').next() {
            Some("postgres") => (Kind::Postgres, 5432, None),
            Some("nats") => (Kind::Nats, 4222, Some("/nats-server")),
            Some("dxflrs/garage") => (Kind::Garage, 3901, None),
            _ => bail!("nothing is known of the image {name}"),
        };
        Ok(Self {
            kind,
            ports: vec![port],
            entrypoint: entrypoint.map(str::to_owned).into_iter().collect(),
            ..Self::default()
        })
    }
}

/// A program on the path.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).map(|folder: PathBuf| folder.join(name));
    places.into_iter().find(|place| Path::is_file(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_by_name() {
        let text = "FROM a AS build\nENV A=0\nFROM b AS api\nENV A=1 \\\n    B=2\nUSER 7:8\nHEALTHCHECK --interval=1s \
                    CMD [\"x\", \"ready\"]\nENTRYPOINT [\"x\"]\nCMD [\"serve\"]\nFROM c AS last\nENV A=3\n";
        let api = Image::of_stage(text, "api").unwrap();
        assert_eq!(api.environment["A"], "1");
        assert_eq!(api.environment["B"], "2");
        assert_eq!(api.user, Some((7, 8)));
        assert_eq!(
            (api.entrypoint, api.command),
            (vec!["x".into()], vec!["serve".to_owned()])
        );
        assert_eq!(api.health, ["x", "ready"]);
        assert!(Image::of_stage(text, "node").is_err());
        assert!(Image::of_others("redis:8").is_err());
    }
}
