//! The private readers of what a bucket answers, by one narrow door: for the fuzz targets in `tests/fuzz` alone.

use crate::{Delivery, s3_store};

/// The text of the first element of this name.
pub fn text_of(xml: &str, name: &str) -> Option<String> {
    s3_store::xml::text_of(xml, name)
}

/// Key and identifier of every unfinished upload, and whether more follow.
pub fn uploads(xml: &str) -> Option<(Vec<(String, String)>, bool)> {
    let page = s3_store::xml::uploads(xml)?;
    let uploads = page.upload.into_iter();
    Some((
        uploads.map(|upload| (upload.key, upload.id)).collect(),
        page.is_truncated,
    ))
}

/// The name of a delivery, read and written again.
pub fn delivery(name: &str) -> Option<(Delivery, String)> {
    let delivery = Delivery::from_name(name)?;
    let name = delivery.name().ok()?;
    Some((delivery, name))
}
