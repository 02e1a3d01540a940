//! Where the service is, and whether the operator may talk to it.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The base address of the service, for example `https://spideriq.ai/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    url: Url,
}

/// Why an address cannot be an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no address, or has parts that an endpoint may not have.
    #[error(
        "The endpoint {0:?} is not a base address. Write one like https://spideriq.ai/api/v1, without user, query or fragment."
    )]
    Malformed(String),
    /// It is plain http to another machine.
    #[error(
        "The endpoint {0} is plain http to another machine, which would show the token to the network. Use https."
    )]
    Plain(String),
    /// The list does not allow it.
    #[error(
        "The endpoint {0} is not on the list. Ask the operator's administrator to add --allowed-endpoint {0}."
    )]
    NotAllowed(String),
}

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// If it has a user, a query, a fragment or an encoded path, is not https, or is plain http but to loopback.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.chars().take(200).collect());
        let mut url = Url::parse(text).map_err(|_| malformed())?;
        let odd = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
            || url.host_str().is_none_or(str::is_empty)
            || text.contains(['%', '\\', '\n', '\r', '\t'])
            // What has to be encoded would be refused when it is read again as it is shown.
            || url.path().contains('%');
        if odd {
            return Err(malformed());
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(EndpointError::Plain(url.to_string())),
            _ => return Err(malformed()),
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url })
    }

    /// Scheme, host and port: paths of one origin tell no two services apart.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Checks the address against the list: scheme, host and port must be equal, and the path below an allowed one.
    ///
    /// # Errors
    /// [`EndpointError::NotAllowed`].
    pub fn check(&self, allowed: &[Self]) -> Result<(), EndpointError> {
        let below = |prefix: &str| {
            let prefix = prefix.trim_end_matches('/');
            self.url.path().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let covered = allowed.iter().any(|entry| {
            entry.url.scheme() == self.url.scheme()
                && entry.url.host() == self.url.host()
                && entry.url.port_or_known_default() == self.url.port_or_known_default()
                && below(entry.url.path())
        });
        if covered { Ok(()) } else { Err(EndpointError::NotAllowed(self.to_string())) }
    }

    /// The address of a route below this one. The segments are checked by the caller to be plain words.
    pub(in crate::spideriq) fn route(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}/{}", url.path().trim_end_matches('/'), segments.join("/"));
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, EndpointError};

    #[test]
    fn what_may_be_an_endpoint() {
        for good in [
            "https://spideriq.ai/api/v1",
            "https://spideriq.ai/api/v1/",
            "http://127.0.0.1:8080/api/v1",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "spideriq.ai",
            "ftp://spideriq.ai",
            "https://user@spideriq.ai",
            "https://spideriq.ai?x=1",
            "https://spideriq.ai#x",
            "https://spideriq.ai/%2e%2e/x",
            "https://spideriq.ai/api v1",
            "https://spideriq.ai/\u{fc}",
            "https:A/\u{202e}",
        ] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Malformed(_))), "{bad}");
        }
        for plain in [
            "http://spideriq.ai",
            "http://10.0.0.1",
            "http://169.254.169.254/latest",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(Endpoint::parse(plain), Err(EndpointError::Plain(_))), "{plain}");
        }
    }

    #[test]
    fn the_list_matches_scheme_host_port_and_whole_path_segments() {
        let list = [Endpoint::parse("https://spideriq.ai/api").unwrap()];
        let cases = [
            ("https://spideriq.ai/api", true),
            ("https://spideriq.ai/api/v1", true),
            ("https://spideriq.ai:443/api/v1", true),
            ("https://spideriq.ai/apix", false),
            ("https://spideriq.ai/", false),
            ("https://spideriq.ai/api/../x", false),
            ("https://spideriq.ai:444/api/v1", false),
            ("https://spideriq.ai.evil.example/api/v1", false),
            ("https://api.spideriq.ai/api/v1", false),
        ];
        for (text, allowed) in cases {
            assert_eq!(Endpoint::parse(text).unwrap().check(&list).is_ok(), allowed, "{text}");
        }
    }
}
