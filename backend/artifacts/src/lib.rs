//! Objects by the hash of their bytes, and the URLs that let somebody send or fetch one.
//!
//! Owns object keys, the trait that every object store implements, the local one and the one in a bucket, partial
//! files, reading from somebody's bucket, signatures, the check of a bucket, and the collector.
//! Refuses HTTP servers, SQL and clocks: what an object is for is the database's to know.

mod bucket;
mod collect;
mod error;
mod hash;
mod local;
mod object_store;
mod s3_store;
mod signer;
#[doc(hidden)]
pub mod untrusted;
mod upload;

pub use bucket::{Bucket, BucketError, BucketPlace, RemoteObject};
pub use collect::{Collected, collect, old, remove_orphans, remove_unfinished};
pub use error::Error;
pub use hash::{HashError, ObjectHash};
pub use local::{Folder, LocalStore, Staging};
pub use object_store::{ArtifactStore, BoxFuture, Object, ObjectInfo};
pub use s3_store::{Encryption, Finding, KeySource, S3Settings, S3Store, check};
pub use signer::{Grant, Method, Refusal, Signer};
pub use upload::{Delivery, PART_BYTES, Part, SignedRequest, Unfinished, Upload};

/// Target of the events before and after every step that a killed process can stand between.
pub const STEP: &str = "artifacts::step";
