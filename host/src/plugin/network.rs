//! Who a plugin may speak to: TCP connections to granted peers, and lookups of their names.
//!
//! Owns the refusals; what is let through is wasmtime-wasi's own, which asks `granted::Reach` about each
//! address. Invariant: a plugin without the grant `network` gets no socket.

use std::net::IpAddr;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::{sockets, sync};
use wasmtime_wasi::p2::{DynPollable, Network, SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::state::State;

fn denied() -> SocketError {
    sockets::network::ErrorCode::AccessDenied.into()
}

/// Wanted by the two refusals below; wasmtime-wasi's own do the same.
impl sockets::network::Host for State {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<sockets::network::ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<sockets::network::ErrorCode>> {
        sockets::network::Host::network_error_code(&mut self.sockets(), error)
    }
}

impl sockets::network::HostNetwork for State {
    fn drop(&mut self, network: Resource<sockets::network::Network>) -> wasmtime::Result<()> {
        sockets::network::HostNetwork::drop(&mut self.sockets(), network)
    }
}

impl sockets::tcp_create_socket::Host for State {
    fn create_tcp_socket(
        &mut self,
        family: sockets::network::IpAddressFamily,
    ) -> SocketResult<Resource<TcpSocket>> {
        if self.granted.grants().network.is_empty() {
            return Err(denied());
        }
        sockets::tcp_create_socket::Host::create_tcp_socket(&mut self.sockets(), family)
    }
}

impl sockets::ip_name_lookup::Host for State {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        let ports = self.reach.ports(&name);
        if ports.is_empty() && name.parse::<IpAddr>().is_err() {
            // What wasmtime-wasi says where no lookup is allowed.
            return Err(sockets::network::ErrorCode::PermanentResolverFailure.into());
        }
        let mut sockets = self.sockets();
        let lookup = sockets::ip_name_lookup::Host::resolve_addresses(&mut sockets, network, name)?;
        self.lookups.insert(lookup.rep(), ports);
        Ok(lookup)
    }
}

impl sockets::ip_name_lookup::HostResolveAddressStream for State {
    fn resolve_next_address(
        &mut self,
        lookup: Resource<ResolveAddressStream>,
    ) -> SocketResult<Option<sockets::network::IpAddress>> {
        let rep = lookup.rep();
        let mut sockets = self.sockets();
        let address =
            sockets::ip_name_lookup::HostResolveAddressStream::resolve_next_address(&mut sockets, lookup)?;
        if let (Some(address), Some(ports)) = (&address, self.lookups.get(&rep)) {
            self.reach.learn(std_address(address), ports);
        }
        Ok(address)
    }

    fn subscribe(
        &mut self,
        lookup: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        sockets::ip_name_lookup::HostResolveAddressStream::subscribe(&mut self.sockets(), lookup)
    }

    fn drop(&mut self, lookup: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.lookups.remove(&lookup.rep());
        sockets::ip_name_lookup::HostResolveAddressStream::drop(&mut self.sockets(), lookup)
    }
}

fn std_address(address: &sockets::network::IpAddress) -> IpAddr {
    match *address {
        sockets::network::IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
        sockets::network::IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
    }
}

impl sync::sockets::udp_create_socket::Host for State {
    fn create_udp_socket(
        &mut self,
        _family: sync::sockets::udp::IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        Err(denied())
    }
}
