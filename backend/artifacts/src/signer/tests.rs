use super::*;

const NOW: Timestamp = Timestamp::from_milliseconds(1_000);

fn grant() -> Grant {
    Grant {
        method: Method::Put,
        hash: ObjectHash::of(b"picture"),
        size_bytes: 7,
        expires_at: Timestamp::from_milliseconds(2_000),
        subject: "upl_0198c0".to_owned(),
    }
}

fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("/blobs/").unwrap();
    let (hash, query) = rest.split_once('?').unwrap();
    (hash.to_owned(), query.to_owned())
}

fn verify(signer: &Signer, url: &str, now: Timestamp) -> Result<Grant, Refusal> {
    let (hash, query) = split(url);
    signer.verify(Method::Put, &hash, &query, now)
}

#[test]
fn signed_url_gives_its_grant_back() {
    let signer = Signer::new(&[7; 32]);
    assert_eq!(verify(&signer, &signer.sign(&grant()), NOW), Ok(grant()));
}

#[test]
fn grant_ends_at_its_expiry() {
    let signer = Signer::new(&[7; 32]);
    let url = signer.sign(&grant());
    let last = Timestamp::from_milliseconds(1_999);
    assert!(verify(&signer, &url, last).is_ok());
    assert_eq!(
        verify(&signer, &url, grant().expires_at),
        Err(Refusal::Expired)
    );
}

#[test]
fn every_changed_character_is_a_forgery() {
    let signer = Signer::new(&[7; 32]);
    let url = signer.sign(&grant());
    for index in "/blobs/".len()..url.len() {
        let mut bytes = url.clone().into_bytes();
        bytes[index] = if bytes[index] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        if changed.contains('?') {
            assert_eq!(
                verify(&signer, &changed, NOW),
                Err(Refusal::Forged),
                "{changed}"
            );
        }
    }
}

#[test]
fn other_methods_keys_and_extra_parameters_are_forgeries() {
    let signer = Signer::new(&[7; 32]);
    let url = signer.sign(&grant());
    let (hash, query) = split(&url);
    let forged = Err(Refusal::Forged);
    assert_eq!(signer.verify(Method::Get, &hash, &query, NOW), forged);
    let as_get = query.replace("method=put", "method=get");
    assert_eq!(signer.verify(Method::Get, &hash, &as_get, NOW), forged);
    assert_eq!(verify(&Signer::new(&[8; 32]), &url, NOW), forged);
    assert_eq!(verify(&signer, &format!("{url}&expires=9999"), NOW), forged);
    assert_eq!(signer.verify(Method::Put, &hash, "", NOW), forged);
    let short = &query[..query.len() - 32];
    assert_eq!(signer.verify(Method::Put, &hash, short, NOW), forged);
}

#[test]
fn another_spelling_of_the_same_grant_is_a_forgery() {
    let signer = Signer::new(&[7; 32]);
    let url = signer.sign(&grant());
    let (start, signature) = url.rsplit_once('=').unwrap();
    for other in [
        url.replace("size=7", "size=+7"),
        url.replace("size=7", "size=07"),
        url.replace("expires=2000", "expires=+2000"),
        format!("{start}={}", signature.to_uppercase()),
    ] {
        assert_eq!(
            verify(&signer, &other, NOW),
            Err(Refusal::Forged),
            "{other}"
        );
    }
}

#[test]
fn subject_cannot_smuggle_parameters() {
    let signer = Signer::new(&[7; 32]);
    let smuggling = Grant {
        subject: "x&expires=9999999999999".to_owned(),
        ..grant()
    };
    assert_eq!(
        verify(&signer, &signer.sign(&smuggling), NOW),
        Err(Refusal::Forged)
    );
}
