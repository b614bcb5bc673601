//! Shared serial consoles: one connection to the guest, any number of viewers, scrollback for who comes later, and a
//! keyboard that one, some or all of them have.
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

pub use consoles::{Connected, Consoles, Wanted};
pub use guest::{Dialled, Redial};
pub use presence::{OpenConsole, Presence};
pub use scrollback::latest_output;
pub use state::{Extras, Newcomer};
pub use store::Store;
pub use view::ConsoleView;
pub use viewer::Viewer;
