//! The one place that reads this program's environment beyond what its arguments name.

use std::{env, ffi::OsString, path::PathBuf};

use crate::failure::Failure;

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `PERSGUARD_API_KEY`: for jobs that have no file of credentials.
    pub(crate) api_key: Option<String>,
    /// What this machine is called, to tell sign-ins apart.
    pub(crate) host: Option<String>,
    config: Option<OsString>,
    state: Option<OsString>,
    home: Option<OsString>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let text = |name: &str| env::var_os(name).filter(|text| !text.is_empty());
        Self {
            api_key: text("PERSGUARD_API_KEY").map(|key| key.to_string_lossy().trim().to_owned()),
            host: host_name().or_else(|| {
                let name = text("HOSTNAME").or_else(|| text("COMPUTERNAME"))?;
                Some(name.to_string_lossy().into_owned())
            }),
            config: text("XDG_CONFIG_HOME"),
            state: text("XDG_STATE_HOME"),
            home: text("HOME").or_else(|| text("USERPROFILE")),
        }
    }

    fn folder(&self, told: Option<&OsString>, usual: &str) -> Result<PathBuf, Failure> {
        // The specification has relative paths ignored.
        let told = told.map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || Some(PathBuf::from(self.home.as_ref()?).join(usual));
        let folder = told.or_else(home).ok_or_else(|| {
            Failure::Here(
                "There is no home directory. Set XDG_CONFIG_HOME and XDG_STATE_HOME.".into(),
            )
        })?;
        Ok(folder.join("persguard"))
    }

    /// Where settings and credentials lie.
    pub(crate) fn config_home(&self) -> Result<PathBuf, Failure> {
        self.folder(self.config.as_ref(), ".config")
    }

    /// Where unfinished work is remembered.
    pub(crate) fn state_home(&self) -> Result<PathBuf, Failure> {
        self.folder(self.state.as_ref(), ".local/state")
    }
}

/// Cut, so that the whole name stays within what the server takes.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    let name: String = name.trim().chars().take(64).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_specification() {
        let home = Environment {
            home: Some("/home/ada".into()),
            ..Environment::default()
        };
        let path = home.config_home().unwrap();
        assert_eq!(path, PathBuf::from("/home/ada/.config/persguard"));
        let path = home.state_home().unwrap();
        assert_eq!(path, PathBuf::from("/home/ada/.local/state/persguard"));
        let relative = Environment {
            config: Some("here".into()),
            ..home.clone()
        };
        assert_eq!(relative.config_home().unwrap(), home.config_home().unwrap());
        let told = Environment {
            config: Some("/etc/x".into()),
            ..home
        };
        assert_eq!(
            told.config_home().unwrap(),
            PathBuf::from("/etc/x/persguard")
        );
        assert!(Environment::default().config_home().is_err());
    }
}
