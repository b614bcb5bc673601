//! Apps with GRIP: signs the requests to them, and carries out the instructions in their responses.
//!
//! A client cannot send an instruction, a signature, or WebSocket events to an app: its headers with these names are
//! removed, and its requests with that media type are refused.

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
