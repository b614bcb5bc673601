//! The labels of all metrics. A value is a constant of this program or a name of the configuration: nothing
//! that a client sends.

use prometheus_client::encoding::EncodeLabelSet;

/// An app, by its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// Its name.
    pub app: String,
}

/// A channel, by its name or pattern in the configuration: names that a pattern covers are made by clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabel {
    /// The name or pattern.
    pub channel: String,
}

/// A listener, by its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabel {
    /// The address.
    pub listener: String,
}

/// A file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FileLabel {
    /// Its path.
    pub file: String,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// A word of this program.
    pub reason: &'static str,
}

/// A source of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    /// The channel.
    pub channel: String,
    /// The kind of source.
    pub kind: &'static str,
    /// Where it is.
    pub address: String,
}
