//! The control objects that a client gets between messages: `open`, `reset`, `refused`, `closing`.

use crate::config::ChannelName;
use crate::hub::{EventId, Hub, Reset};

/// The first object on a socket: the position at which the page starts.
pub(super) fn opening(hub: &Hub, position: &EventId, names: &[ChannelName]) -> String {
    let names: Vec<_> = names.iter().map(ChannelName::as_str).collect();
    let id = position.to_string();
    serde_json::json!({"type": "open", "id": id, "channels": names, "retry": retry(hub)})
        .to_string()
}

/// The object that announces a gap before the next message.
pub(super) fn resetting(reset: Reset, position: &EventId) -> String {
    let id = position.to_string();
    serde_json::json!({"type": "reset", "id": id, "reason": reset.as_str()}).to_string()
}

/// The object that ends one channel: its name, and the status with which a request for it would be refused now.
pub(super) fn refusing(name: &ChannelName) -> String {
    serde_json::json!({"type": "refused", "channel": name.as_str(), "status": 403}).to_string()
}

/// The object that announces the server's stop, and when to reconnect.
pub(super) fn closing(hub: &Hub) -> String {
    serde_json::json!({"type": "closing", "retry": retry(hub)}).to_string()
}

fn retry(hub: &Hub) -> u64 {
    u64::try_from(hub.retry().as_millis()).unwrap_or(u64::MAX)
}
