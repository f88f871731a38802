//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which addresses may be connected to. It is asked of the very address that is connected to, so
/// that a name which leads elsewhere a moment later gains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    #[default]
    Anywhere,
    /// Only what is reachable on the open Internet: no machine of its own, no neighbor, no cloud
    /// metadata.
    Public,
}

impl Reach {
    /// The addresses that are left.
    pub(crate) fn of(self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        addresses.retain(|address| match self {
            Reach::Anywhere => true,
            Reach::Public => is_public(address.ip()),
        });
        addresses
    }
}

/// The special-purpose registries of RFC 6890, and addresses that carry one of those inside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 224;
    !is_special
}

/// Global unicast alone; what documentation and Teredo took of it apart.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0xdb8) && (a, b) != (0x2001, 0)
}

/// The IPv4 address that a mapped, translated (64:ff9b::/96) or 6to4 address leads to.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = |from: usize| {
        let [a, b, c, d] = octets[from..from + 4] else {
            unreachable!("four octets were taken")
        };
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(at(12)),
        [0x2002, ..] => Some(at(2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], is_reached: bool) {
        for address in addresses {
            let address = SocketAddr::new(address.parse().unwrap(), 80);
            let left = Reach::Public.of(vec![address]);
            assert_eq!(left.contains(&address), is_reached, "{address}");
            assert_eq!(Reach::Anywhere.of(vec![address]), [address]);
        }
    }

    #[test]
    fn only_the_open_internet_is_public() {
        check(
            &[
                "1.1.1.1",
                "100.63.0.1",
                "172.32.0.1",
                "198.20.0.1",
                "2606:4700::1111",
            ],
            true,
        );
        check(&["127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1"], false);
        check(&["192.168.0.1", "169.254.169.254", "100.64.0.1"], false);
        check(&["198.18.0.1", "224.0.0.1", "255.255.255.255"], false);
        check(&["::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254"], false);
        check(&["ff02::1", "2001:db8::1", "2001::1"], false);
    }

    #[test]
    fn a_private_address_inside_another_is_found() {
        check(&["::ffff:127.0.0.1", "64:ff9b::10.0.0.1"], false);
        check(&["2002:a9fe:a9fe::1", "::127.0.0.1"], false);
        check(&["::ffff:1.1.1.1", "2002:101:101::1"], true);
    }
}
