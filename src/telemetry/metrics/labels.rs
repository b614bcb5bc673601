//! The labels of all metrics. A value is a constant of this program or a name of the configuration: nothing
//! that a client sends.

use prometheus_client::encoding::EncodeLabelSet;

/// Label for an app, by its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// Name of the app.
    pub app: String,
}

/// Label for an address of an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AddressLabel {
    /// Name of the app.
    pub app: String,
    /// The address, as the configuration has it.
    pub address: String,
}

/// Label for a channel, by its name or pattern in the configuration: clients can make names that a pattern covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabel {
    /// Name or pattern of the channel.
    pub channel: String,
}

/// Label for a listener, by its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabel {
    /// Address of the listener.
    pub listener: String,
}

/// Label for a file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FileLabel {
    /// Path of the file.
    pub file: String,
}

/// Label for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// A constant word for the reason.
    pub reason: &'static str,
}

/// Label for a source of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    /// Name of the channel.
    pub channel: String,
    /// Kind of the source.
    pub kind: &'static str,
    /// Address of the source.
    pub address: String,
}

/// Label for a source of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TokenSourceLabel {
    /// Kind and address of the source.
    pub source: String,
}

/// Label for the look-ups of a source of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LookUpLabel {
    /// Kind and address of the source.
    pub source: String,
    /// The result: `known`, `unknown` or `failed`.
    pub result: &'static str,
}

/// Label for the stream of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabel {
    /// Name of the stream.
    pub stream: String,
    /// Address of the broker.
    pub address: String,
}
