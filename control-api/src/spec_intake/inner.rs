//! Addresses that lead into the control API's own network, as far as they say so themselves.
//!
//! What holds: whoever may not name this machine's directories cannot have its ports and its neighbours
//! asked, either: not by an address of a loopback, private, link-local or shared range, in any way of
//! writing that git and curl read, nor by a name that only an inner network has. What is not written
//! plainly counts as such. Deliberately absent: looking names up. A public name may lead anywhere, and
//! somewhere else when it is asked the next time; a firewall closes that (docs/deploy).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The last parts of names that no public server has.
const INNER_NAMES: [&str; 8] =
    ["localhost", "localdomain", "local", "internal", "intranet", "lan", "corp", "home.arpa"];

/// The host of a repository's URL that is, or may be, in the server's own network.
pub(super) fn inner_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    // Git takes what is in brackets for the host also before an `@`; a host has them at its begin only.
    if authority.contains("]@") {
        return Some(authority);
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    // Where readers differ in what the host is, or make another one of it, it is not written plainly.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]@+~".contains(c);
    (!authority.chars().all(plain) || is_inner(host)).then_some(host)
}

fn is_inner(host: &str) -> bool {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return is_inner_v6(address);
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match address(&name) {
        Some(address) => is_inner_v4(address),
        None => {
            // A name of one word is one of the own network; so is what is no name at all.
            !name.contains('.')
                || name.contains(':')
                || name.split('.').any(str::is_empty)
                || INNER_NAMES.iter().any(|inner| {
                    name.strip_suffix(inner).is_some_and(|before| before.ends_with('.'))
                })
                // A number at the end is no public name; which address it is, readers differ in.
                || name.rsplit('.').next().is_some_and(|last| number(last).is_some())
        }
    }
}

/// An IPv4 address as the C library reads it: one to four numbers, the last of which fills the rest.
fn address(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let bytes = 4_u32.checked_sub(u32::try_from(first.len()).ok()?).filter(|bytes| *bytes > 0)?;
    if first.iter().any(|part| *part > 255) || *last >= 1 << (8 * bytes) {
        return None;
    }
    let high = first.iter().fold(0, |all, part| all << 8 | part);
    u32::try_from(high << (8 * bytes) | last).ok().map(Ipv4Addr::from)
}

/// A number as the C library reads it: decimal, octal behind a 0, hexadecimal behind 0x.
fn number(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(""), _) => Some(0),
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240
        // Shared by what is behind one carrier's or one overlay's gateway.
        || first == 100 && (64..128).contains(&second)
        || first == 192 && second == 0 && third == 0
        || first == 198 && (18..20).contains(&second)
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., seventh, eighth] = address.segments();
    let embedded = Ipv4Addr::from(u32::from(seventh) << 16 | u32::from(eighth));
    match address.to_canonical() {
        IpAddr::V4(address) => is_inner_v4(address),
        // Loopback, unspecified, and IPv4 addresses in an older way of writing.
        IpAddr::V6(_) if first == 0 => true,
        // Addresses that a gateway makes IPv4 of.
        IpAddr::V6(_) if first == 0x64 && second == 0xff9b => is_inner_v4(embedded),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_into_the_own_network_is_seen_however_it_is_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "0177.0.0.1",
            "0",
            "127.0.0.1.",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1:8080",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "300.1.1.1",
            "1.2.3.4.5",
            "example.0x1",
            "[::1]:22",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[fd00::1]",
            "[fe80::1]",
            "[fe80::1%25eth0]",
            "localhost",
            "LocalHost.",
            "a.localhost",
            "postgres",
            "db.internal",
            "git.corp",
            "printer.local",
            "",
            "a..b",
            "%31%32%37.0.0.1",
            "127\u{3002}0\u{3002}0\u{3002}1",
            "example.org#@127.0.0.1",
            "example.org?@localhost",
            "127.0.0.1\\@example.org",
            "[127.0.0.1]@example.org",
            "git@[10.0.0.5]@example.org",
            "user@127.0.0.1:22",
        ] {
            for scheme in ["https", "ssh", "git", "http"] {
                let url = format!("{scheme}://{host}/owner/name");
                assert!(inner_host(&url).is_some(), "{url}");
            }
        }
    }

    #[test]
    fn public_hosts_are_let_through() {
        for url in [
            "https://github.com/owner/name.git",
            "https://github.com:443/owner/name",
            "ssh://git@gitlab.example.org:2222/owner/name",
            "git://git.kernel.org/pub/scm/x",
            "https://8.8.8.8/owner/name",
            "https://[2606:4700::1111]/owner/name",
            "https://[::ffff:8.8.8.8]/x",
            "https://localhost.example.org/x",
            "https://xn--bcher-kva.example/x",
            "https://3com.example/x",
            "https://example.org/owner/na%20me?x=1#y",
        ] {
            assert_eq!(inner_host(url), None, "{url}");
        }
        assert_eq!(inner_host("/srv/work"), None, "another rule's");
    }
}
