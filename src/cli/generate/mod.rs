//! `noren generate`: creates man pages and shell completions from the text of `--help` and of the reference
//! configuration, so that no second text can become outdated. Packages run it while they are built.

mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Arguments;

/// The arguments of `noren generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(subcommand)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Output {
    /// Write the man pages: noren(1), one for each command, and noren.toml(5).
    Man(OutputDirectory),
    /// Write the completions for bash, zsh and fish.
    Completions(OutputDirectory),
}

#[derive(Debug, Args)]
struct OutputDirectory {
    /// The directory to write them to, made if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Generate {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (OutputDirectory { directory }, files) = match self.output {
            Output::Man(directory) => (directory, pages()?),
            Output::Completions(directory) => (directory, completions()),
        };
        fs::create_dir_all(&directory)
            .with_context(|| format!("make the directory {}", directory.display()))?;
        for (name, text) in files {
            write(&directory.join(name), &text)?;
        }
        Ok(())
    }
}

/// A file: its name and its content.
type File = (String, Vec<u8>);

fn write(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

fn pages() -> anyhow::Result<Vec<File>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![(
        "noren.toml.5".to_owned(),
        reference::manual_page().into_bytes(),
    )];
    add_pages(command, &mut pages)?;
    Ok(pages)
}

/// Adds the page of a command, and those of its subcommands.
fn add_pages(command: Command, pages: &mut Vec<File>) -> anyhow::Result<()> {
    for below in command.get_subcommands() {
        add_pages(below.clone(), pages)?;
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let values = command.get_arguments().filter_map(|argument| {
        let value = argument.get_value_names()?.first()?;
        let flag = argument.get_long()?.replace('-', "\\-");
        let is_taken = argument.get_action().takes_values();
        let value = value.replace('-', "\\-");
        is_taken.then(|| (format!("\\fB\\-\\-{flag}\\fR"), format!("\\fI{value}\\fR")))
    });
    let values: Vec<_> = values.collect();
    let page = Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("noren ", env!("CARGO_PKG_VERSION")))
        .manual("Noren");
    let mut text = Vec::new();
    page.render(&mut text).context("make a man page")?;
    let mut text = String::from_utf8(text).context("make a man page")?;
    text = text.replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    for (flag, value) in values {
        // The synopsis of the library shows an option without its value.
        text = text.replacen(&format!("[{flag}]"), &format!("[{flag} {value}]"), 1);
    }
    let mut text = text.into_bytes();
    let see_also = if name == "noren" {
        ".SH FILES\n.TP\n\\fI/etc/noren/noren.toml\\fR\nThe configuration, see \\fBnoren.toml\\fR(5).\n"
    } else {
        ".SH \"SEE ALSO\"\n\\fBnoren\\fR(1), \\fBnoren.toml\\fR(5)\n"
    };
    text.extend_from_slice(see_also.as_bytes());
    pages.push((format!("{name}.1"), text));
    Ok(())
}

fn completions() -> Vec<File> {
    let shells = [
        (Shell::Bash, "noren.bash"),
        (Shell::Zsh, "_noren"),
        (Shell::Fish, "noren.fish"),
    ];
    let script = |(shell, name): (Shell, &str)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "noren", &mut text);
        (name.to_owned(), text)
    };
    shells.map(script).into()
}
