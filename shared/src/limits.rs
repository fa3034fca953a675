//! What the product accepts, in numbers: shown in the browser before it is enforced by the API.

/// Fewest images that a set needs before it can be sealed.
pub const MIN_IMAGES: usize = 3;
/// Most images that one set holds.
pub const MAX_IMAGES: usize = 50;
/// Largest image file in bytes (20 MiB).
pub const MAX_IMAGE_BYTES: u64 = 20 * 1024 * 1024;
/// Largest archive of pictures in bytes (256 MiB).
pub const MAX_ARCHIVE_BYTES: u64 = 256 * 1024 * 1024;
/// Most files of an archive that are looked at.
pub const MAX_ARCHIVE_FILES: usize = 500;
/// Most pixels that a decoder is asked for: 40 megapixels, well above a phone's photo.
pub const MAX_IMAGE_PIXELS: u64 = 40_000_000;
/// Shortest side of an image in pixels.
pub const MIN_IMAGE_SIDE: u32 = 32;
/// Longest file name kept, in characters.
pub const MAX_FILE_NAME_CHARACTERS: usize = 200;
/// Longest name of a set or a person, in characters.
pub const MAX_NAME_CHARACTERS: usize = 100;
/// Shortest password, in characters.
pub const MIN_PASSWORD_CHARACTERS: usize = 10;
/// Longest password in characters: hashing cost is bounded.
pub const MAX_PASSWORD_CHARACTERS: usize = 200;
/// Most jobs of one account that wait or run at once.
pub const MAX_ACTIVE_JOBS: usize = 20;
/// Most files that a base model consists of.
pub const MAX_MODEL_FILES: usize = 64;
/// Largest file of a base model in bytes (16 GiB): the largest single checkpoints hold 14.
pub const MAX_MODEL_FILE_BYTES: u64 = 16 << 30;
/// Most bytes of a base model (32 GiB).
pub const MAX_MODEL_BYTES: u64 = 32 << 30;
/// Most class words of a base model.
pub const MAX_MODEL_CLASSES: usize = 50;
/// Most imports of one account that are not ready.
pub const MAX_OPEN_IMPORTS: usize = 5;
/// Most base models that one account imported.
pub const MAX_IMPORTED_MODELS: usize = 20;
/// Most concepts of one job.
pub const MAX_CONCEPTS: usize = 10;
/// Largest file of a patch in bytes (2 MiB).
pub const MAX_PATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Longest side of a patch in pixels; larger ones are scaled down.
pub const MAX_PATCH_SIDE: u32 = 512;
/// Most patches of one account.
pub const MAX_PATCHES: u64 = 50;
/// Longest life of an API key in days.
pub const MAX_API_KEY_DAYS: u32 = 365;
/// Most keys of one organisation that were not revoked.
pub const MAX_API_KEYS: u64 = 50;
/// Most blocks of addresses of one API key.
pub const MAX_ALLOWED_ADDRESSES: usize = 20;
/// Longest time in hours for which a rotated key's old secret works.
pub const MAX_OVERLAP_HOURS: u32 = 168;
/// Days until a share link ends, unless told.
pub const DEFAULT_SHARE_DAYS: u32 = 30;
/// Longest life of a share link in days.
pub const MAX_SHARE_DAYS: u32 = 365;
/// Most share links of one gallery.
pub const MAX_SHARE_LINKS: u64 = 100;
/// Most pairs that are chosen one by one for a share link.
pub const MAX_SHARED_PAIRS: usize = 1000;
/// Most sites that may show a shared page in a frame.
pub const MAX_EMBED_ORIGINS: usize = 10;
/// Most members of one organisation, invited ones included.
pub const MAX_MEMBERS: u64 = 200;
/// Most organisations that one person belongs to.
pub const MAX_ORGANISATIONS: u64 = 50;
/// Most training nodes of one server that were not removed.
pub const MAX_NODES: u64 = 1000;
/// Longest life of a join token in minutes: a week.
pub const MAX_JOIN_MINUTES: u32 = 7 * 24 * 60;
/// Minutes until a join token ends, unless told.
pub const DEFAULT_JOIN_MINUTES: u32 = 60;
