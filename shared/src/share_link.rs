//! Share links: one gallery for one recipient, who needs no account, until a chosen end.
//!
//! Whoever has the address sees the page; so the address is shown once, and what is kept of it is a hash.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    GalleryId, ShareLinkId, ShareViewId, Timestamp, UserId, limits,
    problem::{FieldError, check},
};

const fn default_days() -> u32 {
    limits::DEFAULT_SHARE_DAYS
}

const fn yes() -> bool {
    true
}

/// Shares a gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "gallery_id": "gal_0190b2c4d5e67f8090a1b2c3d4e5f607", "recipient": "Atelier Nord", "expires_in_days": 30,
    "password": "correct horse battery", "download": false })))]
#[serde(deny_unknown_fields)]
pub struct CreateShareLink {
    /// What is shared.
    pub gallery_id: GalleryId,
    /// Who gets it: stands in the watermark and in the list of links. Empty: anyone.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub recipient: String,
    /// The page's heading; the gallery's title unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub title: Option<String>,
    /// Days until it ends, 1 to 365; 30 unless told.
    #[serde(default = "default_days")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 365, default = 30))]
    pub expires_in_days: u32,
    /// What a visitor has to type first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 200))]
    pub password: Option<String>,
    /// Whether pictures and numbers can be saved as one archive. What can be seen can be saved in any case.
    #[serde(default)]
    pub download: bool,
    /// Whether every picture carries the recipient's name.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(default = true))]
    pub watermark: bool,
    /// Whether the protected pictures are shown beside what was generated.
    #[serde(default)]
    pub references: bool,
    /// Positions of the shown pairs in the gallery's list, from 0; all unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1000))]
    pub pairs: Option<Vec<u32>>,
    /// Sites that may show the page in a frame, such as `https://example.org`; none unless told.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(inline, value_type = Vec<OriginText>, max_items = 10))]
    pub embed_origins: Vec<String>,
}

impl CreateShareLink {
    /// A link with nothing chosen but the gallery.
    pub fn new(gallery_id: GalleryId) -> Self {
        Self {
            gallery_id,
            recipient: String::new(),
            title: None,
            expires_in_days: default_days(),
            password: None,
            download: false,
            watermark: true,
            references: false,
            pairs: None,
            embed_origins: Vec::new(),
        }
    }

    /// Every reason why this link cannot be made.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_recipient(&mut errors, &self.recipient);
        if self.watermark {
            check_watermark(&mut errors, &self.recipient);
        }
        if let Some(title) = &self.title {
            let fits = !title.trim().is_empty() && short(title) && is_plain(title);
            check(&mut errors, fits, "#/title", "invalid_length", || {
                format!(
                    "Use 1 to {} characters, and no line breaks.",
                    limits::MAX_NAME_CHARACTERS
                )
            });
        }
        check_days(&mut errors, self.expires_in_days);
        if let Some(password) = &self.password {
            check_password(&mut errors, password);
        }
        if let Some(pairs) = &self.pairs {
            check_pairs(&mut errors, pairs);
        }
        check_origins(&mut errors, &self.embed_origins);
        errors
    }
}

fn short(text: &str) -> bool {
    text.chars().count() <= limits::MAX_NAME_CHARACTERS
}

/// Whether documents of every kind may hold a character: no line break, no control character, no noncharacter that
/// XML refuses.
pub fn is_writable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn is_plain(text: &str) -> bool {
    text.chars().all(is_writable)
}

/// Whether the one font that is at hand everywhere has these letters: Latin, Greek, Cyrillic and common signs.
fn is_drawable(text: &str) -> bool {
    let fits =
        |c| matches!(c, '\u{20}'..='\u{24f}' | '\u{370}'..='\u{52f}' | '\u{2010}'..='\u{2026}');
    text.chars().all(fits)
}

fn check_recipient(errors: &mut Vec<FieldError>, recipient: &str) {
    check(
        errors,
        short(recipient),
        "#/recipient",
        "invalid_length",
        || format!("Use at most {} characters.", limits::MAX_NAME_CHARACTERS),
    );
    check(
        errors,
        is_plain(recipient),
        "#/recipient",
        "invalid_character",
        || "Use no line breaks and no control characters.".into(),
    );
}

/// A name that a watermark can write.
pub fn check_watermark(errors: &mut Vec<FieldError>, recipient: &str) {
    check(
        errors,
        !is_plain(recipient) || is_drawable(recipient),
        "#/recipient",
        "not_drawable",
        || {
            "The watermark writes Latin, Greek and Cyrillic letters. Write the name in those, or leave the watermark out."
                .into()
        },
    );
}

fn check_days(errors: &mut Vec<FieldError>, days: u32) {
    let range = 1..=limits::MAX_SHARE_DAYS;
    check(
        errors,
        range.contains(&days),
        "#/expires_in_days",
        "out_of_range",
        || format!("Use 1 to {} days.", range.end()),
    );
}

fn check_password(errors: &mut Vec<FieldError>, password: &str) {
    let range = limits::MIN_PASSWORD_CHARACTERS..=limits::MAX_PASSWORD_CHARACTERS;
    let fits = range.contains(&password.chars().count());
    check(errors, fits, "#/password", "invalid_length", || {
        format!("Use {} to {} characters.", range.start(), range.end())
    });
}

fn check_pairs(errors: &mut Vec<FieldError>, pairs: &[u32]) {
    let count = 1..=limits::MAX_SHARED_PAIRS;
    check(
        errors,
        count.contains(&pairs.len()),
        "#/pairs",
        "invalid_length",
        || format!("Choose 1 to {} pairs.", count.end()),
    );
}

fn check_origins(errors: &mut Vec<FieldError>, origins: &[String]) {
    let most = limits::MAX_EMBED_ORIGINS;
    check(
        errors,
        origins.len() <= most,
        "#/embed_origins",
        "too_many",
        || format!("Name at most {most} sites."),
    );
    for (index, origin) in origins.iter().enumerate() {
        let pointer = format!("#/embed_origins/{index}");
        check(
            errors,
            is_origin(origin),
            &pointer,
            "invalid_origin",
            || {
                "Give a site such as https://example.org, in small letters and without a path."
                    .into()
            },
        );
    }
}

/// An origin as a policy header may carry it: `https`, or this machine itself over `http`.
fn is_origin(text: &str) -> bool {
    let (authority, plain) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return false,
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (
            host,
            port.parse::<u16>()
                .is_ok_and(|port| port.to_string() == authority[host.len() + 1..]),
        ),
        None => (authority, true),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let here = matches!(host, "localhost" | "127.0.0.1");
    port && host.len() <= 253 && host.split('.').all(label) && (!plain || here)
}

/// Texts of [`is_origin`], for the document of the API.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^https://[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]{2,10}){1,3}$",
    example = "https://example.org")]
#[expect(dead_code, reason = "only its schema is read")]
struct OriginText(String);

/// A field that a merge patch may also remove.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn removable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Changes a link (JSON merge patch): what is absent stays. What it shows cannot change: make another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "expires_in_days": 7, "password": null })))]
#[serde(deny_unknown_fields)]
pub struct UpdateShareLink {
    /// Who gets it.
    #[serde(
        default,
        deserialize_with = "crate::patching::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false, max_length = 100))]
    pub recipient: Option<String>,
    /// Days from now until it ends, 1 to 365.
    #[serde(
        default,
        deserialize_with = "crate::patching::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = u32, required = false, minimum = 1, maximum = 365))]
    pub expires_in_days: Option<u32>,
    /// What a visitor has to type first; `null` asks for nothing any more.
    #[serde(
        default,
        deserialize_with = "removable",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false, min_length = 10, max_length = 200))]
    pub password: Option<Option<String>>,
    /// Whether pictures and numbers can be saved as one archive.
    #[serde(
        default,
        deserialize_with = "crate::patching::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub download: Option<bool>,
}

impl UpdateShareLink {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(recipient) = &self.recipient {
            check_recipient(&mut errors, recipient);
        }
        if let Some(days) = self.expires_in_days {
            check_days(&mut errors, days);
        }
        if let Some(Some(password)) = &self.password {
            check_password(&mut errors, password);
        }
        errors
    }
}

/// Whether a link opens its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ShareLinkStatus {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
}

/// A link as its makers see it: without its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four things that are on or off, as its maker chose them"
)]
pub struct ShareLink {
    /// Identifies the link.
    pub id: ShareLinkId,
    /// What it shows.
    pub gallery_id: GalleryId,
    /// Whether it opens its page.
    pub status: ShareLinkStatus,
    /// How the secret part of the address begins.
    pub hint: String,
    /// Who gets it.
    pub recipient: String,
    /// The page's heading.
    pub title: String,
    /// Whether a visitor has to type a password.
    pub has_password: bool,
    /// Whether there is an archive to save.
    pub download: bool,
    /// Whether every picture carries the recipient's name.
    pub watermark: bool,
    /// Whether the protected pictures are shown.
    pub references: bool,
    /// Positions of the shown pairs; absent: all.
    pub pairs: Option<Vec<u32>>,
    /// Sites that may show it in a frame.
    pub embed_origins: Vec<String>,
    /// Who made it; absent once that account is gone.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
    /// How often the page was shown, programs that draw previews included; one network counts once in half an hour.
    pub views: u64,
    /// When it was shown last.
    pub last_viewed_at: Option<Timestamp>,
}

/// A new link with its address, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedShareLink {
    /// The link.
    #[serde(flatten)]
    pub share_link: ShareLink,
    /// What to send to the recipient.
    pub url: String,
}

/// How a visit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ViewOutcome {
    /// The page was shown.
    Shown,
    /// A program asked that says it draws previews of links, or the dashboard showed its owner the page.
    Preview,
    /// The password was wrong.
    Refused,
}

/// A visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShareView {
    /// Identifies the visit.
    pub id: ShareViewId,
    /// When.
    pub at: Timestamp,
    /// How it went.
    pub outcome: ViewOutcome,
    /// The network that it came from: the address without its last part, such as `198.51.100.0/24`.
    pub network: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> CreateShareLink {
        CreateShareLink::new(GalleryId::from_uuid(uuid::Uuid::from_u128(1)))
    }

    fn pointers(request: &CreateShareLink) -> Vec<String> {
        request
            .validate()
            .into_iter()
            .map(|error| error.pointer)
            .collect()
    }

    #[test]
    fn defaults_are_safe() {
        let text = format!(r#"{{"gallery_id":"gal_{:032x}"}}"#, 1);
        let parsed: CreateShareLink = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed, link());
        assert!(parsed.validate().is_empty());
        assert!(parsed.watermark && !parsed.download && !parsed.references);
        assert_eq!(parsed.expires_in_days, 30);
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad = CreateShareLink {
            recipient: "a\nb".into(),
            title: Some(" ".into()),
            expires_in_days: 0,
            password: Some("short".into()),
            pairs: Some(Vec::new()),
            embed_origins: vec!["https://a.example".into(), "https://a.example/".into()],
            ..link()
        };
        let expected = [
            "#/recipient",
            "#/title",
            "#/expires_in_days",
            "#/password",
            "#/pairs",
            "#/embed_origins/1",
        ];
        assert_eq!(pointers(&bad), expected);
    }

    #[test]
    fn origins_cannot_smuggle_anything_into_a_header() {
        for good in [
            "https://example.org",
            "https://a-b.example.org:8443",
            "http://localhost:3000",
            "http://127.0.0.1",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "example.org",
            "http://example.org",
            "https://example.org/",
            "https://Example.org",
            "https://a;script-src *",
            "https://a b",
            "https://*.example.org",
            "https://a:",
            "https://a:99999",
            "https://a:08",
            "https://a..b",
            "https://-a",
            "https://u@a",
            "https://a,https://b",
            "'self'",
            "data:",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn watermarks_write_what_their_font_has() {
        for (recipient, watermark, fits) in [
            ("Atelier Nord & Söhne", true, true),
            ("Мастерская", true, true),
            ("\u{5f31}\u{8005}", true, false),
            ("\u{5f31}\u{8005}", false, true),
            ("\u{ffff}", false, false),
        ] {
            let request = CreateShareLink {
                recipient: recipient.into(),
                watermark,
                ..link()
            };
            assert_eq!(request.validate().is_empty(), fits, "{recipient}");
        }
    }

    #[test]
    fn password_can_be_removed_but_not_the_name() {
        let parse = |text| serde_json::from_str::<UpdateShareLink>(text);
        assert_eq!(parse("{}").unwrap().password, None);
        assert_eq!(parse(r#"{"password":null}"#).unwrap().password, Some(None));
        assert!(parse(r#"{"recipient":null}"#).is_err());
        assert!(
            parse(r#"{"pairs":[1]}"#).is_err(),
            "what it shows cannot change"
        );
    }
}
