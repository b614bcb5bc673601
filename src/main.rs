//! The `noren` program: arguments in, exit status out. Everything else is in the library and in `cli`.

mod cli;
mod demo;
mod notify;
mod signals;
mod sync;

use std::process::ExitCode;

use clap::Parser;

use cli::{Arguments, Failure};

/// Thousands of connections that wait have a few large, mostly empty buffers each. This allocator keeps sizes apart, so
/// that the empty pages stay empty; the C library's puts buffers where handshakes have been, and they count in full.
/// It is built for what is handed out, by the feature `jemalloc`; a demo does without.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// `EX_CONFIG` of sysexits.h. systemd shows it by name, and `RestartPreventExitStatus=78` keeps a service with
/// a broken file from being restarted over and over.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::report_error(&failure);
            match failure {
                Failure::Configuration(_) => ExitCode::from(BAD_CONFIGURATION),
                Failure::Other(_) => ExitCode::FAILURE,
            }
        }
    }
}
