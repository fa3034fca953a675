//! A request before it is sent, and a whole answer.

use bytes::Bytes;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// One request, to be sent as often as it takes.
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
    pub(super) key: Option<String>,
    pub(super) accept: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            key: None,
            accept: "application/json",
            headers: Vec::new(),
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST under a key, so that it can be repeated.
    pub(crate) fn post(path: impl Into<String>, key: impl Into<String>) -> Self {
        let mut call = Self::new(Method::POST, path);
        call.key = Some(key.into());
        call
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(body).map_err(|error| Error::Unreadable {
            path: self.path.clone(),
            cause: error.to_string(),
        })?;
        self.body = Some(bytes);
        Ok(self)
    }

    pub(crate) fn accept(mut self, kind: &'static str) -> Self {
        self.accept = kind;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.method != Method::POST && self.method != Method::PATCH || self.key.is_some()
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) path: String,
}

impl Answer {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Unreadable {
            path: self.path.clone(),
            cause: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_no_harm_twice_is_repeated() {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert!(Call::new(method, "/").is_repeatable());
        }
        for method in [Method::POST, Method::PATCH] {
            assert!(!Call::new(method, "/").is_repeatable());
        }
        assert!(Call::post("/", "key").is_repeatable());
    }
}
