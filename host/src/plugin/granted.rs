//! What a transform was granted, looked up once at load and ready for its instances.
//!
//! Owns the values of granted variables, the granted folders, and which peers may be reached. Invariant:
//! what is not granted by name is not there, and no value of a variable is ever shown.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::error::Error;
use crate::config::{Grants, Peer};

/// Addresses that lookups gave to one instance and that are remembered: many times what a name has.
const ADDRESSES_MAX: usize = 1024;

/// Grants with what they stand for.
#[derive(Default)]
pub(super) struct Granted {
    grants: Grants,
    environment: Vec<(String, String)>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.grants.names()).finish()
    }
}

impl Granted {
    /// Looks up variables and folders.
    pub(super) fn resolve(grants: &Grants, transform: &str) -> Result<Self, Error> {
        let refuse =
            |grant: String, text: String| Error::Grant { transform: transform.to_owned(), grant, text };
        let variable = |name: &String| match std::env::var(name) {
            Ok(value) => Ok((name.clone(), value)),
            Err(std::env::VarError::NotPresent) => Err(refuse(
                format!("env:{name}"),
                String::from("the host's environment has no such variable; set it, or remove the grant"),
            )),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(refuse(format!("env:{name}"), String::from("the variable's value is not UTF-8")))
            }
        };
        for (path, folder) in &grants.files {
            let text = match std::fs::metadata(folder) {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => format!("`{}` is not a folder", folder.display()),
                Err(error) => format!("the folder `{}` can't be read: {error}", folder.display()),
            };
            return Err(refuse(format!("files:{path}"), text));
        }
        let environment = grants.env.iter().map(variable).collect::<Result<_, _>>()?;
        Ok(Self { grants: grants.clone(), environment })
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Whether sleeping takes real time: it must where a peer can be waited for.
    pub(super) fn real_timers(&self) -> bool {
        self.grants.clock || !self.grants.network.is_empty()
    }

    /// What an instance sees of the host.
    pub(super) fn context(&self, reach: &Arc<Reach>) -> wasmtime::Result<WasiCtx> {
        let network = !self.grants.network.is_empty();
        let mut context = WasiCtx::builder();
        context.allow_tcp(network).allow_udp(false).allow_ip_name_lookup(network).envs(&self.environment);
        for (path, folder) in &self.grants.files {
            context.preopened_dir(folder, path, FsPerms::ReadOnly)?;
        }
        if network {
            let reach = Arc::clone(reach);
            context.socket_addr_check(move |address, used| {
                let allowed = reach.allows(address, used);
                Box::pin(async move { allowed })
            });
        }
        Ok(context.build())
    }
}

/// Where one instance may connect to.
#[derive(Debug, Default)]
pub(super) struct Reach {
    names: Vec<Peer>,
    /// Granted as addresses.
    literal: BTreeSet<SocketAddr>,
    /// Given by lookups of granted names, with the ports granted for them.
    looked_up: Mutex<BTreeSet<SocketAddr>>,
}

impl Reach {
    pub(super) fn new(peers: &[Peer]) -> Self {
        let mut reach = Self::default();
        for peer in peers {
            match peer.host.parse::<IpAddr>() {
                Ok(address) => drop(reach.literal.insert(SocketAddr::new(address, peer.port))),
                Err(_) => reach.names.push(peer.clone()),
            }
        }
        reach
    }

    /// The ports that are granted for a name; none: it may not be looked up.
    pub(super) fn ports(&self, name: &str) -> Vec<u16> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let granted = self.names.iter().filter(|peer| peer.host.eq_ignore_ascii_case(name));
        granted.map(|peer| peer.port).collect()
    }

    /// Notes an address that the lookup of a granted name gave.
    pub(super) fn learn(&self, address: IpAddr, ports: &[u16]) {
        let mut looked_up = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        if looked_up.len() >= ADDRESSES_MAX {
            looked_up.clear();
        }
        looked_up.extend(ports.iter().map(|port| SocketAddr::new(address, *port)));
    }

    /// Connecting binds a socket to any address and port first; a guest that asks for just that gets no
    /// more by it, since it may not listen.
    fn allows(&self, address: SocketAddr, used: SocketAddrUse) -> bool {
        match used {
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpConnect => self.may_connect(address),
            _ => false,
        }
    }

    fn may_connect(&self, address: SocketAddr) -> bool {
        // Without an IPv6 address's flow and scope, which no grant names.
        let address = SocketAddr::new(address.ip(), address.port());
        let looked_up = || self.looked_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&address);
        self.literal.contains(&address) || looked_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn reach(peers: &[(&str, u16)]) -> Reach {
        let peer = |(host, port): &(&str, u16)| Peer { host: (*host).to_owned(), port: *port };
        Reach::new(&peers.iter().map(peer).collect::<Vec<_>>())
    }

    #[test]
    fn only_granted_and_looked_up_addresses_are_reached() {
        let reach =
            reach(&[("127.0.0.1", 80), ("::1", 81), ("api.example.com", 443), ("api.example.com", 444)]);
        let connects = |text| reach.allows(address(text), SocketAddrUse::TcpConnect);
        assert!(connects("127.0.0.1:80") && connects("[::1]:81"));
        assert!(!connects("127.0.0.1:81") && !connects("127.0.0.2:80") && !connects("[::1]:80"));
        assert!(!connects("192.0.2.7:443"));
        assert_eq!(reach.ports("API.example.com."), [443, 444]);
        assert!(reach.ports("example.com").is_empty() && reach.ports("127.0.0.1").is_empty());
        reach.learn(address("192.0.2.7:0").ip(), &reach.ports("api.example.com"));
        assert!(connects("192.0.2.7:443") && connects("192.0.2.7:444") && !connects("192.0.2.7:80"));
    }

    #[test]
    fn nothing_but_connecting_is_allowed() {
        let reach = reach(&[("0.0.0.0", 80), ("127.0.0.1", 80)]);
        for used in [
            SocketAddrUse::TcpListen,
            SocketAddrUse::TcpAccept,
            SocketAddrUse::UdpBind,
            SocketAddrUse::UdpSend,
        ] {
            assert!(!reach.allows(address("127.0.0.1:80"), used), "{used:?}");
        }
        assert!(!reach.allows(address("127.0.0.1:80"), SocketAddrUse::TcpBind));
        assert!(!reach.allows(address("0.0.0.0:80"), SocketAddrUse::TcpBind));
        assert!(reach.allows(address("0.0.0.0:0"), SocketAddrUse::TcpBind));
    }

    #[test]
    fn what_lookups_gave_is_bounded() {
        let reach = reach(&[("a", 1)]);
        for number in 0..5_000_u32 {
            reach.learn(IpAddr::from(number.to_be_bytes()), &[1]);
        }
        assert!(reach.looked_up.lock().expect("whole").len() <= ADDRESSES_MAX);
        assert!(reach.may_connect(SocketAddr::new(IpAddr::from(4_999_u32.to_be_bytes()), 1)));
    }

    #[test]
    fn what_is_not_there_refuses_and_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing");
        let files = Grants { files: [(String::from("/geo"), missing)].into(), ..Grants::default() };
        let error = Granted::resolve(&files, "t").expect_err("no folder").to_string();
        assert!(error.contains("`files:/geo`") && error.contains("missing"), "{error}");
        let env = Grants { env: vec![String::from("VANNE_NOT_SET")], ..Grants::default() };
        let error = Granted::resolve(&env, "t").expect_err("no variable").to_string();
        assert!(error.contains("`env:VANNE_NOT_SET`"), "{error}");
    }

    #[test]
    fn values_are_not_shown() {
        let (name, value) = std::env::vars().find(|(_, value)| value.len() > 3).expect("a variable");
        let grants = Grants { env: vec![name.clone()], ..Grants::default() };
        let granted = Granted::resolve(&grants, "t").expect("it is set");
        let shown = format!("{granted:?}");
        assert!(shown.contains(&name) && !shown.contains(&value), "{shown}");
        assert_eq!(granted.environment, [(name, value)]);
    }
}
