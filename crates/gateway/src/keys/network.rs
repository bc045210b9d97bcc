//! A network that a key may be used from: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::fmt;
use std::net::IpAddr;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads one. The error says what is wrong and what was meant.
    pub fn parse(text: &str) -> Result<Network, String> {
        let advice = || format!("`{text}` is no network: write it like `10.0.0.0/8` or `203.0.113.7`");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| advice())?;
        let width = width(address);
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(advice)?,
            None => width,
        };
        let network = Network { address, bits };
        let first = network.masked(address);
        if first != number(address) {
            let meant = match address {
                IpAddr::V4(_) => IpAddr::V4((first as u32).into()),
                IpAddr::V6(_) => IpAddr::V6(first.into()),
            };
            return Err(format!(
                "`{text}` is not the first address of its network: write `{meant}/{bits}`"
            ));
        }
        Ok(network)
    }

    /// Whether an address belongs to it. An IPv4 address inside IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.address) && self.masked(address) == self.masked(self.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let away = width(address) - self.bits;
        number(address)
            .checked_shr(away)
            .unwrap_or(0)
            .checked_shl(away)
            .unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_its_network() {
        let rows = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
        ];
        for (network, address, wanted) in rows {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                wanted,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_network_says_what_was_meant() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "example.org",
            "fd00::/129",
        ] {
            assert!(Network::parse(wrong).unwrap_err().contains("is no network"), "{wrong}");
        }
        assert_eq!(
            Network::parse("10.1.0.0/8").unwrap_err(),
            "`10.1.0.0/8` is not the first address of its network: write `10.0.0.0/8`"
        );
        assert!(Network::parse("fd00::1/8").unwrap_err().ends_with("write `fd00::/8`"));
    }
}
