//! Prefixed, sortable identifiers: `set_0198c0…`, one newtype a noun.
//!
//! The text form is the prefix and the 32 hexadecimal digits of a version 7 UUID, so that ids sort
//! by creation. Making a new one needs a clock and an rng and is therefore not done here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form `{prefix}` followed by 32 hexadecimal digits, got `{text}`")]
pub struct IdError {
    prefix: &'static str,
    text: String,
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    text.strip_prefix(prefix)
        .filter(|digits| digits.len() == 32)
        .and_then(|digits| Uuid::try_parse(digits).ok())
        .ok_or_else(|| IdError {
            prefix,
            text: text.chars().take(64).collect(),
        })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every text form of this id starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID made elsewhere.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id of nothing that is stored.
            pub const fn nil() -> Self {
                Self(Uuid::nil())
            }

            /// The UUID inside.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "[0-9a-f]{32}$")))
                    .build()
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}

id!(/** A person with an account. */ UserId, "usr_");
id!(/** Whose things are: a person alone, or several with roles. */ OrganisationId, "org_");
id!(/** A browser that is signed in. */ SessionId, "ses_");
id!(/** A person as an identity provider knows them. */ IdentityId, "idn_");
id!(/** A key for integrations. */ ApiKeyId, "key_");
id!(/** An invitation into an organisation. */ InvitationId, "inv_");
id!(/** A set of protected images. */ SetId, "set_");
id!(/** One image of a set. */ ImageId, "img_");
id!(/** An upload in progress. */ UploadId, "upl_");
id!(/** A base model that can be protected. */ ModelId, "mdl_");
id!(/** An import of a base model. */ ImportId, "imp_");
id!(/** A job in the ledger. */ JobId, "job_");
id!(/** A file that a job produced. */ ArtifactId, "art_");
id!(/** The gallery of one evaluation. */ GalleryId, "gal_");
id!(/** A link that shows one gallery to somebody without an account. */ ShareLinkId, "lnk_");
id!(/** A visit of a shared page. */ ShareViewId, "vis_");
id!(/** A picture that a pattern shows. */ PatchId, "pat_");
id!(/** A training node. */ NodeId, "nod_");
id!(/** One node's try at one job. */ AttemptId, "att_");
id!(/** An entry of an audit log. */ AuditEventId, "aud_");
id!(/** An address that is told what happens. */ WebhookId, "whk_");
id!(/** Something that happened, as webhooks tell it. */ EventId, "evt_");
id!(/** One event on its way to one webhook. */ DeliveryId, "dlv_");
id!(/** A release that needs two people. */ ApprovalId, "apr_");
id!(/** A complaint about what this server holds. */ NoticeId, "ntc_");
id!(/** An archive of everything of an account. */ ExportId, "exp_");
id!(/** The removal of an account. */ DeletionId, "del_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let id = SetId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id.to_string(), "set_00000000000000000000000000000007");
        assert_eq!(id.to_string().parse::<SetId>().unwrap(), id);
    }

    #[test]
    fn another_nouns_id_is_refused() {
        let job = JobId::from_uuid(Uuid::from_u128(7)).to_string();
        assert!(job.parse::<SetId>().is_err());
        assert!("set_7".parse::<SetId>().is_err());
        assert!(
            "set_../../../../etc/passwd00000000000"
                .parse::<SetId>()
                .is_err()
        );
    }
}
