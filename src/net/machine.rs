//! Facts about this machine: its addresses and its name.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::sockopt::ip_mtu;
use socket2::{Domain, Socket, Type};

/// Packet size of the loopback interface, through which addresses of this machine are routed. No network has such a
/// large one.
const LOOPBACK_MTU: u32 = 65_535;

/// True if an address belongs to this machine, on any interface. Queries the system for the route each time, since
/// addresses change; nothing is sent. A list of interfaces would need netlink, and an attempt to listen at the address
/// a permission: the sandbox of the service permits neither.
#[must_use]
pub(crate) fn is_own_address(address: IpAddr) -> bool {
    address.is_loopback() || leads_here(address).unwrap_or(false)
}

/// The host name of the system, in lower case; `None` if it is not readable.
#[must_use]
pub(crate) fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok()?.to_ascii_lowercase();
    (!name.is_empty() && name != "(none)").then_some(name)
}

fn leads_here(address: IpAddr) -> io::Result<bool> {
    let to = SocketAddr::new(address, 9);
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
    socket.connect(&to.into())?;
    let from = socket.local_addr()?.as_socket().map(|from| from.ip());
    // To itself a machine speaks as the address it speaks to, but for the further IPv4 addresses of one network:
    // there it is the first of them.
    Ok(from == Some(address) || (address.is_ipv4() && ip_mtu(&socket)? >= LOOPBACK_MTU))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn what_this_machine_speaks_as_is_its_own_and_what_nobody_has_is_not() {
        assert!(is_own_address(Ipv4Addr::LOCALHOST.into()));
        assert!(is_own_address(Ipv4Addr::new(127, 5, 5, 5).into()));
        // RFC 1112 §4, RFC 6666.
        assert!(!is_own_address(Ipv4Addr::new(240, 0, 0, 1).into()));
        assert!(!is_own_address(
            Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1).into()
        ));
        // The address of the way out, where there is one.
        let out = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        if out.connect("198.51.100.1:9").is_ok() {
            let own = out.local_addr().expect("an address").ip();
            assert!(is_own_address(own), "{own}");
        }
    }
}
