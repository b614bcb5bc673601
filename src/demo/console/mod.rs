//! The demo's console: a tiny shell on a UNIX socket, raw bytes in both directions like a serial line.
//!
//! Each connection has a thread, at most sixteen. It stands for the serial console of a virtual machine; the
//! bridge relays its bytes.

mod commands;
mod terminal;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::state::AppState;
use super::threads::{Listening, OpenSocket};
use commands::Next;
use terminal::{Line, Terminal};

/// Limit on open consoles.
const MOST: usize = 16;

const WELCOME: &str = "\r\n\x1b[94mNoren demo console\x1b[0m, raw bytes over a UNIX socket.\r\n\
                       Type \x1b[1mhelp\x1b[0m, or \x1b[1mring\x1b[0m and look at the notifications.\r\n\r\n";
const PROMPT: &str = "\x1b[94mdemo$\x1b[0m ";

/// Serves the console at `path` on threads of the demo.
pub(super) fn serve(state: &Arc<AppState>, path: &Path) -> io::Result<()> {
    let listening = state.threads.listen(path)?;
    let clone = Arc::clone(state);
    state
        .threads
        .spawn("console", move || accept(&listening, &clone))
}

fn accept(listening: &Listening, state: &Arc<AppState>) {
    while let Some(connection) = listening.accept() {
        let Some(visit) = state.enter_console(connection.id(), MOST) else {
            // A fresh socket has room for a line, so this cannot wait.
            let _ =
                Terminal::new(connection.stream()).write("All sixteen consoles are in use.\r\n");
            continue;
        };
        let clone = Arc::clone(state);
        let spawned = state.threads.spawn("console-line", move || {
            // The error is that of a client who left, or whom the stop of the demo sent away.
            let _ = converse(&clone, &connection);
            drop(visit);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "demo cannot open a console");
        }
    }
}

fn converse(state: &AppState, connection: &OpenSocket) -> io::Result<()> {
    let mut terminal = Terminal::new(connection.stream());
    terminal.write(WELCOME)?;
    loop {
        match terminal.line(PROMPT)? {
            Line::Entered(line) => {
                if let Next::Leave = commands::run(state, &mut terminal, &line)? {
                    return Ok(());
                }
            }
            Line::Interrupted => {}
            Line::Ended => return terminal.write("Come again.\r\n"),
            Line::Idle => return terminal.write("Nobody here? Closing.\r\n"),
        }
    }
}
