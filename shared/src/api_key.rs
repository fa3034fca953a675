//! Keys for integrations: scoped, expiring, shown once.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    ApiKeyId, Timestamp, UserId, limits,
    organisation::check_name,
    problem::{FieldError, check},
};

/// What a key may be used for, within the role of the person who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// See sets, uploads, base models and patches.
    #[serde(rename = "sets:read")]
    SetsRead,
    /// Add and change sets, uploads, base models and patches.
    #[serde(rename = "sets:write")]
    SetsWrite,
    /// Launch, see and follow jobs.
    #[serde(rename = "jobs:run")]
    JobsRun,
    /// Cancel jobs.
    #[serde(rename = "jobs:cancel")]
    JobsCancel,
    /// See galleries and their pictures.
    #[serde(rename = "galleries:read")]
    GalleriesRead,
    /// Publish galleries.
    #[serde(rename = "share:write")]
    ShareWrite,
    /// Download protected checkpoints.
    #[serde(rename = "models:download")]
    ModelsDownload,
    /// Manage the organisation, its members and keys.
    #[serde(rename = "org:admin")]
    OrgAdmin,
    /// Read the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 9] = [
        Self::SetsRead,
        Self::SetsWrite,
        Self::JobsRun,
        Self::JobsCancel,
        Self::GalleriesRead,
        Self::ShareWrite,
        Self::ModelsDownload,
        Self::OrgAdmin,
        Self::AuditRead,
    ];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SetsRead => "sets:read",
            Self::SetsWrite => "sets:write",
            Self::JobsRun => "jobs:run",
            Self::JobsCancel => "jobs:cancel",
            Self::GalleriesRead => "galleries:read",
            Self::ShareWrite => "share:write",
            Self::ModelsDownload => "models:download",
            Self::OrgAdmin => "org:admin",
            Self::AuditRead => "audit:read",
        }
    }
}

/// A block of addresses: `198.51.100.7`, `198.51.100.0/24` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock(IpNet);

impl AddressBlock {
    /// Whether an address lies in the block; an IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address of another block lies in this one.
    pub fn holds(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }
}

/// Whether a key that works from `blocks` alone works from nowhere that one with `outer` does not; a key without blocks
/// works from everywhere. What is no block of addresses lies nowhere and holds nothing.
pub fn is_within(blocks: &[String], outer: &[String]) -> bool {
    let outer_blocks: Vec<AddressBlock> = outer.iter().flat_map(|text| text.parse()).collect();
    let inside = |text: &String| {
        let block: Result<AddressBlock, _> = text.parse();
        block.is_ok_and(|block| outer_blocks.iter().any(|outer| outer.holds(block)))
    };
    outer.is_empty() || (!blocks.is_empty() && blocks.iter().all(inside))
}

/// Why a text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a block such as 198.51.100.0/24")]
pub struct AddressBlockError;

impl std::str::FromStr for AddressBlock {
    type Err = AddressBlockError;

    fn from_str(text: &str) -> Result<Self, AddressBlockError> {
        read_block(text).map(Self).ok_or(AddressBlockError)
    }
}

fn read_block(text: &str) -> Option<IpNet> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    // The standard reader: others take 010 for ten, and some programs take it for eight.
    let address: IpAddr = address.parse().ok()?;
    let Some(length) = length else {
        return Some(address.to_canonical().into());
    };
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    // Addresses are compared in their IPv4 form, so a block of them must be in it, too.
    let inside = if address.is_ipv6() && address.to_canonical().is_ipv4() {
        length.checked_sub(96)?
    } else {
        length
    };
    IpNet::new(address.to_canonical(), inside).ok()
}

fn check_addresses(errors: &mut Vec<FieldError>, blocks: &[String]) {
    let most = limits::MAX_ALLOWED_ADDRESSES;
    check(
        errors,
        blocks.len() <= most,
        "#/allowed_addresses",
        "too_many",
        || format!("Give at most {most} blocks of addresses."),
    );
    for (index, block) in blocks.iter().enumerate() {
        let pointer = format!("#/allowed_addresses/{index}");
        let valid = block.parse::<AddressBlock>().is_ok();
        check(errors, valid, &pointer, "invalid_address", || {
            "Give an address or a block such as 198.51.100.0/24.".into()
        });
    }
}

const fn default_days() -> u32 {
    90
}

/// Makes a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "name": "Nightly export", "scopes": ["sets:read", "jobs:run"], "expires_in_days": 90,
    "allowed_addresses": ["198.51.100.0/24"] })))]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
    /// What it may be used for.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 9))]
    pub scopes: Vec<Scope>,
    /// Days until it expires, 1 to 365; 90 unless told.
    #[serde(default = "default_days")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 365, default = 90))]
    pub expires_in_days: u32,
    /// Addresses from which it may be used; from everywhere when empty.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(inline, value_type = Vec<AddressText>, max_items = 20))]
    pub allowed_addresses: Vec<String>,
}

impl CreateApiKey {
    /// Every reason why this key cannot be made.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_name(&mut errors, &self.name);
        let range = 1..=Scope::ALL.len();
        check(
            &mut errors,
            range.contains(&self.scopes.len()),
            "#/scopes",
            "invalid_length",
            || format!("Choose 1 to {} scopes.", range.end()),
        );
        let days = 1..=limits::MAX_API_KEY_DAYS;
        check(
            &mut errors,
            days.contains(&self.expires_in_days),
            "#/expires_in_days",
            "out_of_range",
            || format!("Use 1 to {} days.", days.end()),
        );
        check_addresses(&mut errors, &self.allowed_addresses);
        errors
    }
}

/// Changes a key; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "allowed_addresses": ["2001:db8::/32"] })))]
#[serde(deny_unknown_fields)]
pub struct UpdateApiKey {
    /// What it is for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false,
        min_length = 1, max_length = 100, pattern = "\\S"))]
    pub name: Option<String>,
    /// Addresses from which it may be used; from everywhere when empty.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(inline, value_type = Vec<AddressText>, required = false,
        max_items = 20))]
    pub allowed_addresses: Option<Vec<String>>,
}

impl UpdateApiKey {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(name) = &self.name {
            check_name(&mut errors, name);
        }
        check_addresses(
            &mut errors,
            self.allowed_addresses.as_deref().unwrap_or_default(),
        );
        errors
    }
}

const fn default_hours() -> u32 {
    24
}

/// Gives a key another secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "overlap_hours": 24 })))]
#[serde(deny_unknown_fields)]
pub struct RotateApiKey {
    /// Hours for which the old secret works beside the new one, 0 to 168; 24 unless told.
    #[serde(default = "default_hours")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 168, default = 24))]
    pub overlap_hours: u32,
}

impl Default for RotateApiKey {
    fn default() -> Self {
        Self {
            overlap_hours: default_hours(),
        }
    }
}

impl RotateApiKey {
    /// Every reason why this rotation is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let most = limits::MAX_OVERLAP_HOURS;
        check(
            &mut errors,
            self.overlap_hours <= most,
            "#/overlap_hours",
            "out_of_range",
            || format!("Use 0 to {most} hours."),
        );
        errors
    }
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    /// Identifies the key.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// How its secret begins, to tell keys apart.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Addresses from which it may be used; from everywhere when empty.
    pub allowed_addresses: Vec<String>,
    /// Who made it; it does what this person may and its scopes allow.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to work.
    pub expires_at: Timestamp,
    /// Until when the secret before the last rotation works.
    pub previous_until: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A key with its secret, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiKey {
    /// The key.
    pub api_key: ApiKey,
    /// Goes into the header `Authorization: Bearer …`; it is not kept and cannot be shown again.
    pub secret: String,
}

/// Only for the document: an address or a block of them.
#[cfg(feature = "openapi")]
pub struct AddressText;

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for AddressText {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some(format!(
                "^({octet}\\.{octet}\\.{octet}\\.{octet}(/(3[0-2]|[12]?[0-9]))?|[0-9a-f]{{1,4}}::(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$"
            )))
            .build()
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for AddressText {}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(block: &str, address: &str) -> bool {
        let block: AddressBlock = block.parse().unwrap();
        block.contains(address.parse().unwrap())
    }

    #[test]
    fn blocks_hold_their_addresses_and_no_others() {
        assert!(holds("198.51.100.0/24", "198.51.100.255"));
        assert!(!holds("198.51.100.0/24", "198.51.101.0"));
        assert!(holds("198.51.100.7", "198.51.100.7"));
        assert!(!holds("198.51.100.7", "198.51.100.6"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("::ffff:198.51.100.0/120", "198.51.100.7"));
        assert!(holds("::ffff:198.51.100.7", "198.51.100.7"));
        assert!(!holds("::ffff:198.51.100.0/120", "198.51.101.7"));
        assert!(holds("::/0", "2001:db8::1"));
    }

    #[test]
    fn narrower_addresses_lie_within_wider_ones() {
        let within = |blocks: &[&str], outer: &[&str]| {
            let [blocks, outer] = [blocks, outer].map(|texts| {
                texts
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()
            });
            is_within(&blocks, &outer)
        };
        let office: &[&str] = &["198.51.100.0/24", "2001:db8::/32"];
        assert!(within(&[], &[]) && within(&["203.0.113.1"], &[]));
        assert!(within(office, office));
        assert!(within(&["198.51.100.7", "2001:db8:1::/48"], office));
        assert!(within(&["::ffff:198.51.100.7"], office));
        assert!(!within(&[], office), "everywhere");
        assert!(!within(&["198.51.100.7", "203.0.113.1"], office));
        assert!(!within(&["198.51.0.0/16"], office));
        assert!(!within(&["0.0.0.0/0"], office));
        assert!(!within(&["x"], office));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for bad in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "1.2.3.4/+8",
            "010.0.0.0/8",
            "10.0.0.010",
            "::ffff:10.0.0.0/64",
        ] {
            assert!(bad.parse::<AddressBlock>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wire_form_of_scopes_is_their_text() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
    }
}
