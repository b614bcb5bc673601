//! One source of tokens, with the settings of connections to its targets. Must not connect to a target.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::allow::Allow;
use super::lookup::Search;
use super::nova::NovaApi;
use super::token_api::TokenApi;
use super::token_files::TokenFiles;
use super::token_redis::TokenRedis;
use super::{ResolveError, named_file, sockets};
use crate::config::{
    self, Bridge, ConsoleSharing, Endpoint, RfbAccess, SourceKind, TargetRule, TargetTls,
    TokenSource,
};
use crate::net::AddressTurns;
use crate::rfb::Login;
use crate::telemetry::TokenSourceCounts;
use crate::tls::{Connector, TlsError};

/// Limit on concurrent look-ups of one address at a source in the network: half of those that each of them has at once.
const OF_ADDRESS: usize = 8;

/// One `[[bridge.tokens]]` table, ready to be searched.
pub(super) struct Source {
    pub(super) backend: SourceBackend,
    pub(super) terms: ConnectPolicy,
    /// Kind and address of the source, for errors.
    pub(super) label: String,
    /// Its look-up counters, if it is in the network.
    pub(super) counts: Option<Arc<TokenSourceCounts>>,
    /// The look-ups in progress, if it is in the network.
    pub(super) turns: Option<AddressTurns>,
    /// The files of the source, if it has any, from which its tokens can be listed.
    pub(super) files: Option<SourceKind>,
}

/// The backend that answers the look-ups of a source.
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few sources, made once"
)]
pub(super) enum SourceBackend {
    /// Files, whose reading blocks.
    Files(Arc<LookUp>),
    /// An HTTP API.
    Api(TokenApi),
    /// The API of Nova.
    Nova(Arc<NovaApi>),
    /// A Redis server.
    Redis(TokenRedis),
}

/// A function that looks a token up in files.
type LookUp = dyn Fn(&mut Search) -> Option<Endpoint> + Send + Sync;

/// Settings of consoles with RFB.
#[derive(Debug)]
pub(crate) struct Rfb {
    /// The handshake with the host.
    pub login: Login,
    /// Permissions of visitors.
    pub access: RfbAccess,
    /// The ports with RFB; `None` means all.
    ports: Option<Vec<RangeInclusive<u16>>>,
}

impl Rfb {
    /// True if RFB is spoken with this address; a UNIX socket has no port.
    pub(super) fn is_spoken_at(&self, endpoint: &Endpoint) -> bool {
        let Some(ports) = &self.ports else {
            return true;
        };
        match endpoint {
            Endpoint::Tcp { port, .. } => ports.iter().any(|range| range.contains(port)),
            Endpoint::Unix(_) => false,
        }
    }
}

/// Connect policy: which targets may be connected, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectPolicy {
    /// Permitted targets; `None` permits all.
    pub(super) allow: Option<Allow>,
    /// TLS settings; `None` connects without TLS.
    pub(super) tls: Option<Connector>,
    /// Settings of RFB; `None` passes bytes unchanged.
    pub(super) rfb: Option<Arc<Rfb>>,
    /// Settings of shared serial consoles; `None` gives each client its own connection.
    pub(super) shared: Option<Arc<ConsoleSharing>>,
    /// Subprotocols beside `binary` and `base64`.
    pub(super) subprotocols: Arc<[String]>,
}

impl Source {
    /// Loads the certificates of the source; does not connect. Settings that the source lacks are those of the bridge.
    pub(super) fn new(source: &TokenSource, bridge: &Bridge) -> Result<Self, TlsError> {
        let subprotocols = source.subprotocols.as_ref().unwrap_or(&bridge.subprotocols);
        let backend = match &source.kind {
            SourceKind::Directory(path) => {
                SourceBackend::indexed(TokenFiles::directory(path.clone()))
            }
            SourceKind::File(path) => SourceBackend::indexed(TokenFiles::file(path.clone())),
            SourceKind::FileName(path) => SourceBackend::files(named_file::find, path.clone()),
            SourceKind::Sockets(path) => SourceBackend::files(sockets::find, path.clone()),
            SourceKind::Http(http) => SourceBackend::Api(TokenApi::new(http.clone())?),
            SourceKind::Nova(nova) => SourceBackend::Nova(Arc::new(NovaApi::new(nova.clone())?)),
            SourceKind::Redis(redis) => SourceBackend::Redis(TokenRedis::new(redis.clone())),
        };
        let is_in_network = source.kind.is_in_network();
        Ok(Self {
            backend,
            terms: ConnectPolicy::new(
                source.allow.as_deref(),
                source.tls.as_ref(),
                source.rfb.as_ref().unwrap_or(&bridge.rfb),
            )?
            .sharing(source.shared.as_ref().unwrap_or(&bridge.shared))
            .speaking(subprotocols),
            label: source.to_string(),
            counts: is_in_network.then(|| Arc::new(TokenSourceCounts::new(source.to_string()))),
            turns: is_in_network.then(|| AddressTurns::new(OF_ADDRESS)),
            files: (!is_in_network).then(|| source.kind.clone()),
        })
    }
}

impl SourceBackend {
    fn indexed(files: TokenFiles) -> Self {
        Self::Files(Arc::new(move |search: &mut Search| files.find(search)))
    }

    fn files(find: fn(&Path, &mut Search) -> Option<Endpoint>, path: PathBuf) -> Self {
        Self::Files(Arc::new(move |search: &mut Search| find(&path, search)))
    }
}

/// Omits the backend, whose settings may contain a password.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl ConnectPolicy {
    pub(super) fn new(
        allow: Option<&[TargetRule]>,
        tls: Option<&TargetTls>,
        rfb: &config::Rfb,
    ) -> Result<Self, TlsError> {
        let load = || -> Result<Rfb, TlsError> {
            let login = Login::new(rfb)?;
            Ok(Rfb {
                login,
                access: rfb.access.clone(),
                ports: rfb.ports.clone(),
            })
        };
        let rfb = rfb.enabled.then(load).transpose()?;
        Ok(Self {
            allow: allow.map(Allow::new),
            tls: tls.map(Connector::new).transpose()?,
            rfb: rfb.map(Arc::new),
            ..Self::default()
        })
    }

    /// Adds shared connections for serial consoles, if the settings have them.
    pub(super) fn sharing(mut self, shared: &ConsoleSharing) -> Self {
        self.shared = shared.enabled.then(|| Arc::new(shared.clone()));
        self
    }

    /// Adds these subprotocols.
    pub(super) fn speaking(mut self, subprotocols: &[String]) -> Self {
        self.subprotocols = subprotocols.into();
        self
    }

    /// Returns the endpoint to connect, if the source may name it. Blocks while it resolves the symbolic links of
    /// a socket's path.
    pub(super) fn check(&self, endpoint: Endpoint, source: &str) -> Result<Endpoint, ResolveError> {
        let Some(allow) = &self.allow else {
            return Ok(endpoint);
        };
        let permitted = match &endpoint {
            Endpoint::Tcp { host, port } => allow.may_name(host, *port).then(|| endpoint.clone()),
            Endpoint::Unix(path) => allow.socket(path).ok().flatten().map(Endpoint::Unix),
        };
        permitted.ok_or_else(|| ResolveError::Forbidden {
            asked: source.to_owned(),
            target: endpoint,
        })
    }

    /// True if the target's address, after its name was resolved, may be connected to.
    pub(super) fn permits(&self, endpoint: &Endpoint, address: IpAddr) -> bool {
        match (&self.allow, endpoint) {
            (None, _) => true,
            (Some(allow), Endpoint::Tcp { host, port }) => allow.permits(host, *port, address),
            // A socket has no address.
            (Some(_), Endpoint::Unix(_)) => false,
        }
    }
}
