//! Room for requests: a general bucket for every caller and special ones for what costs more.
//!
//! Every answer tells the rest in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).

use std::net::IpAddr;

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};
use shared::NodeId;

use crate::{
    app::{
        App,
        principal::Principal,
        rate_limit::{Level, RateLimit, household},
    },
    error::Error,
    policy::{Access, Bucket, Rule},
};

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static REST: HeaderName = HeaderName::from_static("ratelimit");

/// Who takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asking<'a> {
    /// Somebody at an address.
    Nobody,
    /// A person, or a key.
    Person(&'a Principal),
    /// A node that joined: many of them may stand behind one address.
    Node(NodeId),
}

/// What a request took, and whether that was too much.
pub(crate) struct Room {
    /// Whose general bucket.
    pub(crate) key: String,
    pub(crate) refusal: Option<Error>,
    levels: Vec<Level>,
}

/// Takes from the buckets that a route names.
pub(crate) fn take(app: &App, rule: Option<&Rule>, caller: Asking<'_>, address: IpAddr) -> Room {
    let address = household(address);
    let general = match rule {
        Some(rule) if rule.access == Access::Node || rule.path.starts_with("/blobs/") => {
            &app.limits().machines
        }
        _ => &app.limits().requests,
    };
    let key = key(caller, address);
    let mut room = Room {
        refusal: None,
        levels: Vec::new(),
        key,
    };
    let own = room.key.clone();
    room.add(app, general, &own);
    if let (None, Some(bucket)) = (&room.refusal, rule.and_then(|rule| rule.bucket)) {
        let (limit, key) = special(app, bucket, caller, address);
        room.add(app, limit, &key);
    }
    room
}

impl Room {
    fn add(&mut self, app: &App, limit: &RateLimit, key: &str) {
        let (level, refusal) = limit.measure(key, app.now());
        self.levels.push(level);
        self.refusal = refusal;
    }
}

fn key(caller: Asking<'_>, address: IpAddr) -> String {
    match caller {
        Asking::Nobody => address.to_string(),
        Asking::Node(node) => node.to_string(),
        Asking::Person(caller) => caller.room(),
    }
}

fn special<'a>(
    app: &'a App,
    bucket: Bucket,
    caller: Asking<'_>,
    address: IpAddr,
) -> (&'a RateLimit, String) {
    let tenant = || match caller {
        Asking::Person(caller) => caller.organisation.to_string(),
        _ => address.to_string(),
    };
    let limits = app.limits();
    match bucket {
        Bucket::SignIn => (&limits.addresses, address.to_string()),
        Bucket::Upload => (&limits.uploads, tenant()),
        Bucket::Job => (&limits.jobs, tenant()),
    }
}

/// Writes what is left into the answer.
pub(crate) fn tell(mut response: Response, room: &Room, given_back: bool) -> Response {
    let back = u64::from(given_back);
    let policy: Vec<String> = room.levels.iter().map(Level::policy).collect();
    let rest = room.levels.iter().enumerate();
    let rest: Vec<String> = rest
        .map(|(index, level)| level.rest(if index == 0 { back } else { 0 }))
        .collect();
    for (name, text) in [(&POLICY, policy.join(", ")), (&REST, rest.join(", "))] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}
