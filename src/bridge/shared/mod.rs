//! Shared serial consoles: one connection to the guest, any number of viewers, scrollback for late viewers, and a
//! keyboard for one, some or all of them.
//!
//! Independent of WebSockets: a viewer is a connection that the relay reads and writes.

mod console;
mod consoles;
mod guest;
mod guest_side;
mod keyboard;
mod presence;
mod scrollback;
mod state;
mod store;
mod successor;
mod terminal;
mod view;
mod viewer;

pub(crate) use consoles::{Connected, ConsoleRequest, Consoles};
pub(crate) use guest::{Dialled, Redial};
pub(crate) use presence::{OpenConsole, Presence};
pub(crate) use scrollback::latest_output;
pub(crate) use state::{Extras, Newcomer};
pub(crate) use store::Store;
pub(crate) use view::ConsoleView;
pub(crate) use viewer::Viewer;
