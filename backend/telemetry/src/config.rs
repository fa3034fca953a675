//! Whether there are traces, and where they go.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use reqwest::{Certificate, Client, Url};

use crate::export;

/// Where a collector of OTLP over HTTP takes traces.
const PLACE: &str = "v1/traces";

/// Traces, by flags or environment.
#[derive(Args, Clone, Debug)]
pub struct TraceConfig {
    /// `OpenTelemetry` collector that takes traces as OTLP over HTTP, such as `http://collector:4318`; without one there are none.
    #[arg(long, env = "PERSGUARD_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that is kept, from 0 to 1.
    #[arg(long, env = "PERSGUARD_OTLP_SAMPLING_RATIO", default_value = "1", value_parser = ratio)]
    pub otlp_sampling_ratio: f64,
    /// File of the certificates (PEM) that sign the collector's, beside the well-known authorities'.
    #[arg(long, env = "PERSGUARD_OTLP_CA_FILE")]
    pub otlp_ca_file: Option<PathBuf>,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_sampling_ratio: 1.0,
            otlp_ca_file: None,
        }
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}

impl TraceConfig {
    /// Where traces are sent, if they are. What is refused may hold a password: it is not repeated.
    pub fn url(&self) -> anyhow::Result<Option<Url>> {
        const NONE: &str = "the address is none, such as http://collector:4318";
        let Some(text) = &self.otlp_endpoint else {
            return Ok(None);
        };
        let mut url: Url = text.trim().parse().ok().context(NONE)?;
        if !matches!(url.scheme(), "http" | "https") {
            bail!("the address begins with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("credentials belong into OTEL_EXPORTER_OTLP_HEADERS");
        }
        if url.query().is_some() || url.fragment().is_some() {
            bail!(NONE);
        }
        let mut path = url.path_segments_mut().ok().context(NONE)?;
        path.pop_if_empty().extend(PLACE.split('/'));
        drop(path);
        Ok(Some(url))
    }

    /// What speaks to the collector; files that cannot be used are told now.
    pub fn client(&self) -> anyhow::Result<Client> {
        let client = export::client(self.authorities()?);
        let file = self.otlp_ca_file.as_deref().unwrap_or(Path::new(""));
        client.with_context(|| file.display().to_string())
    }

    /// Whose signature under the collector's certificate counts beside those of the well-known authorities.
    fn authorities(&self) -> anyhow::Result<Vec<Certificate>> {
        let Some(path) = &self.otlp_ca_file else {
            return Ok(Vec::new());
        };
        let name = || path.display().to_string();
        let pem = fs::read(path).with_context(name)?;
        let found = Certificate::from_pem_bundle(&pem).with_context(name)?;
        ensure!(!found.is_empty(), "{} holds no certificate", name());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> anyhow::Result<Option<Url>> {
        let config = TraceConfig {
            otlp_endpoint: Some(text.to_owned()),
            ..TraceConfig::default()
        };
        config.url()
    }

    #[test]
    fn addresses_are_http_and_passwords_stay_untold() {
        for (text, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            (
                "https://otlp.example.org/tenant/",
                "https://otlp.example.org/tenant/v1/traces",
            ),
        ] {
            assert_eq!(url(text).unwrap().unwrap().as_str(), expected);
        }
        for bad in [
            "",
            "collector:4318",
            "grpc://me:hidden@collector:4317",
            "http://",
            "http://me:hidden@collector:4318",
            "http://hidden@collector:4318",
            "http://collector:4318?token=hidden",
        ] {
            let error = url(bad).unwrap_err();
            assert!(!format!("{error:#}").contains("hidden"), "{error:#}");
        }
    }

    #[test]
    fn authorities_are_certificates_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let read = || {
            let config = TraceConfig {
                otlp_ca_file: Some(file.clone()),
                ..TraceConfig::default()
            };
            config.client()
        };
        assert!(TraceConfig::default().authorities().unwrap().is_empty());
        assert!(format!("{:#}", read().unwrap_err()).contains("ca.pem"));
        for bad in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(&file, bad).unwrap();
            assert!(read().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ratios_lie_between_none_and_all() {
        assert_eq!(ratio("0.25"), Ok(0.25));
        for bad in ["", "-0.1", "1.5", "NaN", "inf", "half"] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }
}
