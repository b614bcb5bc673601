//! The status of a running server as one JSON object: the admin socket writes it, and programs such as `noren status`
//! read it. Times are in Unix milliseconds.
//!
//! Contains types only: `view` fills them in.

use serde::{Deserialize, Serialize};

/// The running server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of Noren.
    pub version: String,
    /// Number of the process.
    pub process: u32,
    /// Start of the process.
    pub since: u64,
    /// Open connections of the public listeners.
    pub connections: Counted,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Open file descriptors, if the system reports them.
    pub descriptors: Option<Counted>,
    /// The apps, in the order of the configuration.
    pub apps: Vec<App>,
    /// Number of open tunnels.
    pub tunnel_count: usize,
    /// Open tunnels, oldest first, up to a limit of rows.
    pub tunnels: Vec<Tunnel>,
    /// Open shared consoles, oldest first, up to a limit of rows.
    pub consoles: Vec<Console>,
    /// Number of subscribers that count towards the limit.
    pub subscribers: usize,
    /// Number of subscriptions.
    pub subscription_count: usize,
    /// Subscriptions up to a limit of rows, with the largest lag first.
    pub subscriptions: Vec<Subscription>,
    /// The id of the newest message.
    pub newest: String,
    /// The open channels, by name.
    pub channels: Vec<Channel>,
    /// The sources of channels, in the order of the configuration.
    pub sources: Vec<Source>,
    /// The sources of tokens in the network, in the order of the configuration.
    pub token_sources: Vec<TokenSource>,
    /// The cluster of this node: one or none.
    pub cluster: Vec<Cluster>,
    /// Certificates of an authority, followed by those in files.
    pub certificates: Vec<Certificate>,
}

/// A number of things in use, with its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Number in use.
    pub open: u64,
    /// Limit on that number.
    pub limit: u64,
}

/// The outcome of the last exchanges with an app, or with one of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The state: `up`, `down`, `silent`, `broken`, `unwell`, or `unknown` before the first exchange.
    pub state: String,
    /// Time since which it is in this state.
    pub state_since: Option<u64>,
    /// Time of the last response.
    pub last_success: Option<u64>,
    /// The last error.
    pub last_error: Option<String>,
    /// Time of the last error.
    pub last_error_at: Option<u64>,
}

/// An app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Name of the app.
    pub name: String,
    /// Its address, or its addresses with commas between them.
    pub url: String,
    /// The best state among its addresses.
    #[serde(flatten)]
    pub condition: Condition,
    /// Number of its workers.
    pub workers: usize,
    /// Number of workers that are busy with a request.
    pub busy: usize,
    /// Number of requests that wait for a worker.
    pub waiting: usize,
    /// Places in the queue.
    pub queue: usize,
    /// Number of requests refused by limits of one address; `None` if the app has no such limits.
    pub limited: Option<u64>,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// An address of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: String,
    /// True if it gets requests.
    pub open: bool,
    /// True if an operator drains it.
    pub drained: bool,
    /// The outcome of the last exchanges there.
    #[serde(flatten)]
    pub condition: Condition,
    /// Number of its workers.
    pub workers: usize,
    /// Number of workers that are busy with a request.
    pub busy: usize,
    /// Number of open WebSockets of the app.
    pub tunnels: usize,
    /// Number of times that it was taken out of use because it could not be connected to.
    pub failures: usize,
}

/// A shared console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// Number of the console, unique in the process.
    pub id: u64,
    /// Address of the guest.
    pub target: String,
    /// Number of viewers.
    pub viewers: usize,
    /// The rule of the keyboard: `first`, `one`, `all` or `none`.
    pub typing: String,
    /// Number of the tunnel whose client has the keyboard.
    pub typist: Option<u64>,
    /// User name of the viewer who has the keyboard.
    pub typist_user: Option<String>,
    /// False while the guest is disconnected.
    pub connected: bool,
    /// Start of the console.
    pub since: u64,
    /// Bytes received from the guest.
    pub received: u64,
    /// Bytes of output in memory.
    pub kept: usize,
}

/// A viewer of a shared console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// True if it is view-only.
    pub view_only: bool,
    /// True if its keys reach the guest.
    pub types: bool,
    /// Bytes of output that it has missed.
    pub missed: u64,
    /// Number of viewers of the console.
    pub viewers: usize,
}

/// An open tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Number of the tunnel, unique in this process.
    pub id: u64,
    /// Kind: `console` or `app`.
    pub kind: String,
    /// Address of the target.
    pub target: String,
    /// Address of the client.
    pub peer: String,
    /// User name, as the app reports it.
    pub user: Option<String>,
    /// Number of the visitor's session.
    pub session: Option<u64>,
    /// The negotiated subprotocol.
    pub subprotocol: Option<String>,
    /// The RFB connection to a console, if Noren speaks RFB with it.
    pub rfb: Option<Rfb>,
    /// State of a viewer of a shared console.
    pub shared: Option<Viewer>,
    /// Start of the tunnel.
    pub since: u64,
    /// Bytes written to the target.
    pub up: u64,
    /// Bytes received from the target.
    pub down: u64,
}

/// The RFB connection to a console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rfb {
    /// The security method that Noren and the host agreed on.
    pub security: String,
    /// True if the client is view-only.
    pub view_only: bool,
}

/// A subscription of one client to one or more channels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Number of the subscription, unique in this process.
    pub id: u64,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Name of the transport: `websocket`, `event stream`, and so on.
    pub transport: String,
    /// Address of the client; `None` on the admin socket.
    pub peer: Option<String>,
    /// User name of the visitor, as the app reports it.
    pub user: Option<String>,
    /// Number of the visitor's session.
    pub session: Option<u64>,
    /// Start of the subscription.
    pub since: u64,
    /// Bytes of messages that the client has not taken yet.
    pub behind: u64,
}

/// An open channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Name of the channel.
    pub name: String,
    /// Number of messages in the history.
    pub messages: usize,
    /// Number of subscribers.
    pub subscribers: usize,
    /// The disk error that prevents publishing at the moment, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A source of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Channel of the source, or a pattern for several.
    pub channel: String,
    /// Kind of source: `wok`, `listen`, `amqp`, `postgres` or `webhook`.
    pub kind: String,
    /// Address: `unix:/path`, a broker and an exchange, a database and its table or notifications, or a path.
    pub address: String,
    /// Time since which it is connected or listens; `None` while it is not.
    pub since: Option<u64>,
    /// Number of open connections; 0 for a datagram socket.
    pub connections: usize,
    /// Number of messages published.
    pub messages: u64,
    /// Total bytes of their data.
    pub bytes: u64,
    /// Number of messages dropped and connections refused.
    pub refused: u64,
    /// Number of repeated messages, which were not published again.
    pub repeated: u64,
    /// Number of messages queued at the broker or in the table, at the last check.
    pub waiting: Option<u64>,
    /// Age of the oldest message in the table when it was read, in milliseconds.
    pub lag: Option<u64>,
    /// Reason why the source is down; for one that is up, its last error, for ten minutes.
    pub last_error: Option<String>,
}

/// A source of tokens in the network; its numbers start anew with each configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSource {
    /// Kind and address of the source.
    pub source: String,
    /// State: `up`, or `down` if the last look-up has failed.
    #[serde(flatten)]
    pub condition: Condition,
    /// Number of look-ups that found a target.
    pub known: u64,
    /// Number of look-ups of tokens that the source does not know.
    pub unknown: u64,
    /// Number of look-ups that failed.
    pub failed: u64,
}

/// This node's place in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Name of the stream.
    pub stream: String,
    /// Address of the broker.
    pub address: String,
    /// Time since which the node is connected and has read the stream; `None` while it is not.
    pub since: Option<u64>,
    /// True once the node has read the stream since its start: before that it serves no subscriber.
    pub caught_up: bool,
    /// Number of messages of this node that have not come back in the stream yet.
    pub waiting: usize,
    /// Reason why the node is not connected.
    pub last_error: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Name of the host, or path of the file.
    pub name: String,
    /// End of the certificate; `None` while there is none.
    pub expires: Option<u64>,
    /// Time of the next order at the authority; `None` for a certificate in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The last error of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
