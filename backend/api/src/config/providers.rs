//! Identity providers that people may sign in by, from a file: whom to ask, as whom, and what their word is worth.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, bail, ensure};
use openidconnect::{ClientId, ClientSecret, IssuerUrl};
use serde::Deserialize;

/// Letters for `/v1/identity-providers/{slug}`.
const MAX_SLUG: usize = 40;

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its own address, as its tokens name it.
    pub issuer: IssuerUrl,
    /// What it calls this server.
    pub client_id: ClientId,
    /// What this server proves itself with.
    pub client_secret: ClientSecret,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Whether people without an account get one.
    pub create_accounts: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    provider: Vec<WrittenProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProvider {
    slug: String,
    name: String,
    issuer: String,
    client_id: String,
    client_secret_file: Option<String>,
    client_secret_variable: Option<String>,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    #[serde(default)]
    create_accounts: bool,
}

fn usual_scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).to_vec()
}

/// Reads the file; paths in it are relative to it.
pub fn read(path: &Path) -> anyhow::Result<Vec<ProviderConfig>> {
    let name = || {
        format!(
            "the identity providers of {} cannot be used",
            path.display()
        )
    };
    let text = fs::read_to_string(path).with_context(name)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).with_context(name)
}

fn parse(text: &str, folder: &Path) -> anyhow::Result<Vec<ProviderConfig>> {
    let written: Written = toml::from_str(text)?;
    let mut names = HashSet::new();
    let mut providers = Vec::new();
    for provider in written.provider {
        let slug = provider.slug.clone();
        let read = provider
            .read(folder)
            .with_context(|| format!("provider {slug:?}"))?;
        // An identity is named by its issuer: two providers with one would be one.
        ensure!(
            names.insert(read.slug.clone()) && names.insert(read.issuer.to_string()),
            "provider {slug:?}: another one has the same slug or issuer"
        );
        providers.push(read);
    }
    Ok(providers)
}

impl WrittenProvider {
    fn read(self, folder: &Path) -> anyhow::Result<ProviderConfig> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ensure!(
            (1..=MAX_SLUG).contains(&self.slug.len()) && self.slug.bytes().all(plain),
            "a slug has up to {MAX_SLUG} lower-case letters, digits and dashes"
        );
        ensure!(!self.name.trim().is_empty(), "it has no name");
        ensure!(!self.client_id.is_empty(), "it has no client_id");
        Ok(ProviderConfig {
            issuer: issuer(&self.issuer)?,
            client_secret: self.secret(folder)?,
            slug: self.slug,
            name: self.name.trim().to_owned(),
            client_id: ClientId::new(self.client_id),
            scopes: self.scopes,
            create_accounts: self.create_accounts,
        })
    }

    fn secret(&self, folder: &Path) -> anyhow::Result<ClientSecret> {
        let text = match (&self.client_secret_file, &self.client_secret_variable) {
            (Some(file), None) => {
                let path = folder.join(file);
                fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, Some(name)) => {
                super::variable(name).with_context(|| format!("the variable {name} is not set"))?
            }
            _ => bail!("give either client_secret_file or client_secret_variable"),
        };
        ensure!(!text.trim().is_empty(), "its client secret is empty");
        Ok(ClientSecret::new(text.trim().to_owned()))
    }
}

/// Tokens and keys travel by https; a provider on this very machine may do without.
fn issuer(text: &str) -> anyhow::Result<IssuerUrl> {
    let issuer = IssuerUrl::new(text.to_owned()).context("its issuer is no address")?;
    let url = issuer.url();
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    ensure!(
        url.scheme() == "https" || (url.scheme() == "http" && here),
        "its issuer is not an https address"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty(),
        "its issuer has more than a host and a path"
    );
    Ok(issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(lines: &str) -> String {
        format!("[[provider]]\nname = \"Example\"\nclient_id = \"guard\"\n{lines}\n")
    }

    #[test]
    fn providers_are_read_with_their_secrets() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "hidden\n").unwrap();
        let text = provider(
            "slug = \"example\"\nissuer = \"https://login.example.org\"\nclient_secret_file = \"secret\"",
        ) + &provider(
            "slug = \"local-1\"\nissuer = \"http://127.0.0.1:9/realm\"\nclient_secret_variable = \"PATH\"\n\
             scopes = [\"email\"]\ncreate_accounts = true",
        );
        let read = parse(&text, folder.path()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].client_secret.secret(), "hidden");
        assert_eq!(read[0].scopes, ["email", "profile"]);
        assert!(!read[0].create_accounts && read[1].create_accounts);
        assert!(!format!("{read:?}").contains("hidden"));
        assert!(parse("", folder.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_safe_or_not_clear_is_refused() {
        let secret = "client_secret_variable = \"PATH\"";
        for bad in [
            format!("slug = \"A b\"\nissuer = \"https://a.example\"\n{secret}"),
            format!("slug = \"a\"\nissuer = \"http://a.example\"\n{secret}"),
            format!("slug = \"a\"\nissuer = \"https://a.example?b\"\n{secret}"),
            format!("slug = \"a\"\nissuer = \"a.example\"\n{secret}"),
            format!("slug = \"a\"\nissuer = \"https://a.example\"\n{secret}\nsurprise = 1"),
            format!("slug = \"a\"\nissuer = \"https://a.example\"\n{secret}\nclient_secret_file = \"x\""),
            "slug = \"a\"\nissuer = \"https://a.example\"".to_owned(),
            "slug = \"a\"\nissuer = \"https://a.example\"\nclient_secret_file = \"missing\"".to_owned(),
            "slug = \"a\"\nissuer = \"https://a.example\"\nclient_secret_variable = \"NO_SUCH_VARIABLE\""
                .to_owned(),
        ] {
            assert!(parse(&provider(&bad), Path::new("/nowhere")).is_err(), "{bad}");
        }
        let one = provider(&format!(
            "slug = \"a\"\nissuer = \"https://a.example\"\n{secret}"
        ));
        let same = one.replace("\"a\"", "\"b\"");
        assert!(parse(&one, Path::new("")).is_ok());
        assert!(parse(&(one + &same), Path::new("")).is_err());
    }
}
