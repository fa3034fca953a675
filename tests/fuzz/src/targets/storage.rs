//! What buckets answer, names of deliveries, and addresses that are to be called.

use api::app::webhooks::addresses;
use artifacts::untrusted;

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("bucket_xml", bucket_xml, || {
        texts(&[
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>uploads/a&amp;b</Key><UploadId>u1</UploadId>\
             <Initiated>2026-11-26T10:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
            "<Error><Code>NoSuchKey</Code><Message>&lt;gone&gt;</Message></Error>",
            "<R><Upload/></R>",
        ])
    })
    .longest(2048)
    .words(&[
        "<Upload>", "</Upload>", "<Key>", "</Key>", "<UploadId>", "<IsTruncated>", "<Code>", "</", "/>", "&amp;", "&#x0;",
        "&#1114112;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version=\"1.0\"?>", "<!DOCTYPE a [<!ENTITY b \"c\">]>", "&b;",
        " xmlns=\"x\"",
    ]),
    Target::new("delivery_name", delivery_name, || {
        vec![format!("{}.7.upl_1", "a0".repeat(32)).into_bytes()]
    })
    .words(&[".", "..", "+7", "007", "18446744073709551615", "A0"]),
    Target::new("webhook_url", webhook_url, || {
        texts(&[
            "https://hooks.example.org/persguard?a=b",
            "https://93.184.216.34:8443/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "http://localhost:9000/hook",
            "https://example.org./",
        ])
    })
    .words(&[
        "https://", "http://", "@", "#", "127.0.0.1", "0x7f000001", "2130706433", "0177.1", "[::1]", "[::ffff:7f00:1]",
        "localhost", ".", "%31", "\u{3002}", "\u{ff0e}", "169.254.169.254", "\\", "//", ":443", "[64:ff9b::7f00:1]", "\t",
    ]),
];

fn bucket_xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some((uploads, _)) = untrusted::uploads(text) {
        assert!(uploads.len() <= text.matches("<Upload").count(), "{text}");
    }
    for name in ["Code", "Message", "Key"] {
        if let Some(found) = untrusted::text_of(text, name) {
            assert!(text.contains(&format!("<{name}>")), "{text}");
            assert!(found.len() <= text.len(), "{text}");
        }
    }
}

/// One name for each delivery, so that nobody's place is taken by another spelling.
fn delivery_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some((delivery, name)) = untrusted::delivery(text) {
        assert_eq!(name, text);
        let sizes = (1..=delivery.parts().min(3)).map(|part| delivery.part_size(part));
        assert!(sizes.into_iter().all(|size| size.is_some()));
        let parts = u64::from(delivery.parts());
        let last = delivery
            .part_size(delivery.parts())
            .expect("there is a last part");
        assert_eq!(
            (parts - 1) * delivery.part_bytes() + last,
            delivery.size_bytes
        );
    }
}

/// What may be called is public, says so in every spelling, and stays so when it is read again.
fn webhook_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(url) = addresses::check(text, false) else {
        return;
    };
    assert_eq!(url.scheme(), "https", "{text}");
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{text}"
    );
    let host = url.host_str().expect("a host");
    assert!(!host.is_empty() && !host.ends_with('.'), "{text}");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        assert!(addresses::is_public(address), "{text}");
    }
    assert!(
        host != "localhost" && !host.ends_with(".localhost"),
        "{text}"
    );
    let again = addresses::check(url.as_str(), false);
    assert_eq!(again.ok().as_ref(), Some(&url), "{text}");
    assert!(addresses::check(text, true).is_ok(), "{text}");
}
