//! Where a request comes from: the connection's other end, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use shared::api_key::AddressBlock;

use crate::{app::App, error::Error};

/// The client's address, as far as it can be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let known = parts.extensions.get().copied();
        known.ok_or_else(|| Error::internal("the request passed no door"))
    }
}

/// The address that was found out for a request before; unspecified where nobody did.
pub(crate) fn found(request: &Request) -> IpAddr {
    let known = request.extensions().get::<ClientAddress>();
    known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |known| known.0)
}

/// The address of a request's client.
pub(crate) fn address(app: &App, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    behind(peer, forwarded, &app.config().trusted_proxies)
}

/// Goes back along the chain while the one who speaks is trusted: what lies before the first stranger
/// was written by that stranger.
pub(crate) fn behind<'a>(
    peer: IpAddr,
    forwarded: impl Iterator<Item = &'a str>,
    trusted: &[AddressBlock],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    let chain: Vec<&str> = forwarded.collect();
    let mut client = peer;
    for hop in chain.iter().rev() {
        if !is_trusted(client) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(address) => client = address,
            Err(_) => break,
        }
    }
    client.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|block| block.parse().unwrap()).collect();
        let chain = forwarded.split(',').filter(|hop| !hop.is_empty());
        behind(peer.parse().unwrap(), chain, &trusted).to_string()
    }

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(client("203.0.113.9", "198.51.100.1", &[]), "203.0.113.9");
        assert_eq!(
            client("203.0.113.9", "198.51.100.1", &["10.0.0.0/8"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn trusted_proxies_tell_the_client_and_no_more() {
        let proxies = &["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", "198.51.100.1", proxies), "198.51.100.1");
        // The client forged the first entry; the proxy added the second.
        assert_eq!(
            client("10.0.0.1", "1.1.1.1, 198.51.100.1", proxies),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", "198.51.100.1, 10.0.0.2", proxies),
            "198.51.100.1"
        );
        assert_eq!(client("10.0.0.1", "rubbish", proxies), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "", proxies), "10.0.0.1");
        assert_eq!(
            client("::ffff:10.0.0.1", "198.51.100.1", proxies),
            "198.51.100.1"
        );
    }
}
