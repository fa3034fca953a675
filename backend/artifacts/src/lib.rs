//! Objects by the hash of their bytes, and the URLs that let somebody send or fetch one.
//!
//! Owns object keys, the trait that every object store implements, the local one, partial files, reading
//! from somebody's bucket, and signatures.
//! Refuses HTTP, SQL and clocks: what an object is for is the database's to know.

mod bucket;
mod error;
mod hash;
mod local;
mod object_store;
mod signer;

pub use bucket::{Bucket, BucketError, BucketPlace, RemoteObject};
pub use error::Error;
pub use hash::{HashError, ObjectHash};
pub use local::{Folder, LocalStore, Staging};
pub use object_store::{ArtifactStore, BoxFuture, Object, ObjectInfo};
pub use signer::{Grant, Method, Refusal, Signer};
