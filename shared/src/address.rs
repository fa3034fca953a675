//! Whether credentials may go to an address without being read on the way.

use std::net::IpAddr;

/// Whether an address of a server is protected by TLS, or leads to this machine itself.
pub fn is_guarded(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Whatever stands before an @ is no host.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    is_here(host)
}

/// Whether a host is this machine itself; an address of version 6 without its brackets.
pub fn is_here(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_guarded;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in [
            "https://guard.example.org",
            "http://127.0.0.1:7740",
            "http://127.9.9.9/",
            "http://localhost",
            "http://[::1]:7740",
        ] {
            assert!(is_guarded(good), "{good}");
        }
        for bad in [
            "",
            "guard.example.org",
            "http://guard.example.org",
            "http://192.168.0.2:7740",
            "http://localhost.example.org",
            "http://127.0.0.1@example.org",
            "http://127.0.0.1.example.org",
            "http://example.org#@localhost",
            "HTTPS://example.org",
            "ftp://localhost",
        ] {
            assert!(!is_guarded(bad), "{bad}");
        }
    }
}
