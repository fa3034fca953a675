//! The few answers that the bucket's client does not read.

use quick_xml::de::from_str;
use serde::Deserialize;

/// The text of the first element of this name that has nothing inside but text.
pub(crate) fn text_of(xml: &str, name: &str) -> Option<String> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let end = start + xml[start..].find("</")?;
    let text = quick_xml::escape::unescape(&xml[start..end]).ok()?;
    Some(text.into_owned())
}

/// One page of a bucket's unfinished uploads in parts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Uploads {
    pub(crate) is_truncated: bool,
    pub(crate) next_key_marker: Option<String>,
    pub(crate) next_upload_id_marker: Option<String>,
    pub(crate) upload: Vec<Upload>,
}

/// An upload in parts that nobody completed yet.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Upload {
    pub(crate) key: String,
    #[serde(rename = "UploadId")]
    pub(crate) id: String,
    pub(crate) initiated: String,
}

pub(crate) fn uploads(xml: &str) -> Option<Uploads> {
    from_str(xml).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_listings_are_read() {
        let error = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &amp; b</Message></Error>";
        assert_eq!(text_of(error, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(text_of(error, "Message").as_deref(), Some("a & b"));
        assert_eq!(text_of(error, "Nothing"), None);
        let page = "<ListMultipartUploadsResult xmlns=\"x\"><IsTruncated>true</IsTruncated>\
            <NextKeyMarker>k</NextKeyMarker><Upload><Key>a</Key><UploadId>1</UploadId>\
            <Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload><Upload><Key>b</Key>\
            <UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
        let page = uploads(page).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_key_marker.as_deref(), Some("k"));
        assert_eq!(page.upload.len(), 2);
        assert_eq!(page.upload[1].id, "2");
        assert!(
            uploads("<ListMultipartUploadsResult/>")
                .unwrap()
                .upload
                .is_empty()
        );
    }
}
