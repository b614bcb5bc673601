//! The hub: channels whose messages reach every subscriber.

#[allow(dead_code, reason = "the channels that use the store are not here yet")]
mod store;
