//! What may be called: public addresses alone, resolved once and then pinned.
//!
//! Refuses everything that lies inside of a network, such as a cloud's metadata service, so that a webhook is no
//! window into it (server-side request forgery).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    time::Duration,
};

use reqwest::Url;
use tokio::sync::Semaphore;

/// Lookups at once. One that gets no answer keeps its thread until the system gives up, and passwords and files need
/// such threads too.
static LOOKUPS: Semaphore = Semaphore::const_new(4);
/// Longest wait for a lookup, and for its turn.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// Why an address is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no address.
    #[error("Give an address such as https://hooks.example.org/persguard.")]
    Unreadable,
    /// Not `https`.
    #[error("Only https addresses are called.")]
    Scheme,
    /// User name, password or fragment.
    #[error("Leave out user name, password and fragment.")]
    Extra,
    /// The host lies inside of a network.
    #[error("This address is private, reserved or the server's own: it is not called.")]
    Private,
    /// The name does not resolve.
    #[error("The host name does not resolve.")]
    Unresolved,
}

/// A receiver, resolved: connections go to these addresses whatever the name says later.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// What to ask for.
    pub url: Url,
    /// Host name as the certificate must say it.
    pub host: String,
    /// Where to connect.
    pub addresses: Vec<SocketAddr>,
}

/// Reads an address and refuses what is wrong with it by itself. `loopback`: this machine may be called, for tests
/// and embedded use, over plain http too.
pub fn check(text: &str, loopback: bool) -> Result<Url, Refusal> {
    let mut url = Url::parse(text).map_err(|_| Refusal::Unreadable)?;
    // `example.org.` is the same host; asked for under that name it would pass by the pinned addresses.
    if let Some(rooted) = url.host_str().filter(|host| host.ends_with('.')) {
        let bare = rooted.trim_end_matches('.').to_owned();
        url.set_host(Some(&bare)).map_err(|_| Refusal::Unreadable)?;
    }
    let host = host(&url).ok_or(Refusal::Unreadable)?;
    let local = loopback && is_local(&host);
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        _ => return Err(Refusal::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(Refusal::Extra);
    }
    let named = host.parse::<IpAddr>().ok();
    if named.is_some_and(|address| !local && !is_public(address)) || (is_local(&host) && !local) {
        return Err(Refusal::Private);
    }
    Ok(url)
}

/// Resolves the host; refused if any of its addresses is not public.
pub async fn pin(text: &str, loopback: bool) -> Result<Pinned, Refusal> {
    let url = check(text, loopback)?;
    let host = host(&url).ok_or(Refusal::Unreadable)?;
    let port = url.port_or_known_default().ok_or(Refusal::Unreadable)?;
    let found = tokio::time::timeout(LOOKUP_LIMIT, look_up(host.clone(), port)).await;
    let addresses = found.ok().flatten().ok_or(Refusal::Unresolved)?;
    if addresses.is_empty() {
        return Err(Refusal::Unresolved);
    }
    let local = loopback && is_local(&host);
    let allowed =
        |address: &SocketAddr| is_public(address.ip()) || (local && address.ip().is_loopback());
    if !addresses.iter().all(allowed) {
        return Err(Refusal::Private);
    }
    Ok(Pinned {
        url,
        host,
        addresses,
    })
}

/// The turn is given back when the lookup is over, also where nobody waits for it any more.
async fn look_up(host: String, port: u16) -> Option<Vec<SocketAddr>> {
    let turn = LOOKUPS.acquire().await.ok()?;
    let lookup = tokio::task::spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        drop(turn);
        found
    });
    Some(lookup.await.ok()?.ok()?.collect())
}

/// The host without the brackets of an IPv6 address.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    (!bare.is_empty()).then(|| bare.to_ascii_lowercase())
}

fn is_local(host: &str) -> bool {
    let name = host == "localhost" || host.ends_with(".localhost");
    name || host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback())
}

/// Whether an address belongs to the public internet (IANA's special-purpose registries, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared by carriers; some clouds' metadata
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || address == Ipv4Addr::new(168, 63, 129, 16); // a cloud's virtual host
    !special
}

/// Global unicast alone, without what carries an IPv4 address or a tunnel inside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global = (a & 0xe000) == 0x2000;
    let special =
        (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_of_networks_are_refused() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn disguised_and_decorated_addresses_are_refused() {
        let refused = |text: &str| check(text, false).unwrap_err();
        assert!(check("https://hooks.example.org:8443/a?b=c", false).is_ok());
        for private in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://127.0.0.1./",
            "https://10.0.0.1../",
            "https://a.localhost/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1:443/",
            "https://１２７.0.0.1/",
        ] {
            assert_eq!(refused(private), Refusal::Private, "{private}");
        }
        for scheme in [
            "http://example.org/",
            "ftp://example.org/",
            "http://127.0.0.1/",
        ] {
            assert_eq!(refused(scheme), Refusal::Scheme, "{scheme}");
        }
        for extra in [
            "https://u@example.org/",
            "https://:p@example.org/",
            "https://example.org/#x",
        ] {
            assert_eq!(refused(extra), Refusal::Extra, "{extra}");
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "https://[",
            "javascript:x",
            "file:///etc/passwd",
        ] {
            assert!(
                matches!(refused(bad), Refusal::Unreadable | Refusal::Scheme),
                "{bad}"
            );
        }
    }

    #[test]
    fn loopback_is_called_where_it_was_configured_and_nothing_else_private() {
        for own in [
            "http://127.0.0.1:9/",
            "http://localhost:9/",
            "https://[::1]/",
        ] {
            assert!(check(own, true).is_ok(), "{own}");
        }
        for other in [
            "http://10.0.0.1/",
            "https://10.0.0.1/",
            "http://example.org/",
        ] {
            assert!(check(other, true).is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved_and_their_addresses_checked() {
        let pinned = pin("http://localhost:9/x", true).await.unwrap();
        assert!(
            pinned
                .addresses
                .iter()
                .all(|address| address.ip().is_loopback())
        );
        assert!(pinned.addresses.iter().all(|address| address.port() == 9));
        let rooted = pin("http://LOCALHOST.:9/x", true).await.unwrap();
        assert_eq!(rooted.url.host_str(), Some(rooted.host.as_str()));
        assert_eq!(rooted.url.as_str(), "http://localhost:9/x");
        let refused = pin("https://no-such-host.invalid/", false).await;
        assert_eq!(refused.unwrap_err(), Refusal::Unresolved);
    }
}
