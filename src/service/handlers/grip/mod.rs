//! Apps with GRIP: signs the requests to them, and follows the instructions in their responses.
//!
//! Nothing that a client sends is an instruction, a signature, or an event of a WebSocket: its headers under these
//! names are removed, and its requests of that media type are refused.

mod apps;
mod control;
mod holding;
mod request;
mod socket;
mod turns;
mod visitor;

pub(in crate::service) use apps::{GripApps, GripMemory};
pub(in crate::service) use control::GripControl;

pub(super) use apps::GripApp;
pub(super) use request::GripRequests;
pub(super) use socket::GripSockets;
