//! The addresses of a node, of one family. They exist in its own network alone, so that they collide with nobody's.

use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4 and nothing else.
    #[default]
    V4,
    /// IPv6 and nothing else.
    V6,
}

impl Family {
    const fn either(self, v4: &'static str, v6: &'static str) -> &'static str {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }

    /// The node's own address.
    pub(super) const fn node(self) -> &'static str {
        self.either("10.77.0.1", "fd77::1")
    }

    /// How many bits of it are the network's: it is alone there.
    pub(super) const fn node_bits(self) -> &'static str {
        self.either("32", "128")
    }

    /// The network of Services.
    pub(super) const fn services(self) -> &'static str {
        self.either("10.96.0.0/24", "fd96::/112")
    }

    /// The Service of the API server: the first.
    pub(super) const fn api_service(self) -> &'static str {
        self.either("10.96.0.1", "fd96::1")
    }

    /// The network of pods.
    pub(super) const fn pods(self) -> &'static str {
        self.either("10.88.0.0/24", "fd88::/64")
    }

    /// All addresses.
    pub(super) const fn everywhere(self) -> &'static str {
        self.either("0.0.0.0/0", "::/0")
    }

    /// The address to listen on, for all.
    pub(super) const fn any(self) -> &'static str {
        self.either("0.0.0.0", "::")
    }

    /// The node's address as a part of a URL.
    pub(super) const fn node_in_url(self) -> &'static str {
        self.either("10.77.0.1", "[fd77::1]")
    }

    /// What the kernel of the node's own network is told, by the paths below /proc/sys.
    pub(super) const fn kernel(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::V4 => &[("net/ipv4/ip_forward", "1")],
            // An address is used at once, and not only when nobody has answered to it.
            Self::V6 => &[
                ("net/ipv6/conf/all/forwarding", "1"),
                ("net/ipv6/conf/all/accept_dad", "0"),
                ("net/ipv6/conf/default/accept_dad", "0"),
            ],
        }
    }
}
