//! The CNI plugin: see `fairlead_cni::plugin`.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

fn main() -> ExitCode {
    let stdin = io::stdin();
    // A person who tries CNI_COMMAND=VERSION by hand gets an answer, not a program that waits.
    let mut input: Box<dyn Read> =
        if stdin.is_terminal() { Box::new(io::empty()) } else { Box::new(stdin.lock()) };
    ExitCode::from(fairlead_cni::plugin::run(
        |name| std::env::var_os(name),
        &mut input,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    ))
}
