//! Variables that libraries read for themselves.

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What such a variable says; what is not UTF-8 is replaced.
pub fn variable_of_library(name: &str) -> Option<String> {
    env::var_os(name).map(|it| it.to_string_lossy().into_owned())
}

/// Starts this program again, in the same process, with those of the variables set that are not set already, unless all are.
///
/// To be called before anything else is done: the program begins anew, with the same arguments. A variable cannot be set for
/// threads that run already without racing with everything that reads the environment.
///
/// Where starting again fails the program goes on without the variables: better to serve than not to start for this.
pub fn require_variables(wanted: &[(&str, &str)]) {
    let missing = wanted
        .iter()
        .filter(|(name, _)| env::var_os(name).is_none());
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let called = arguments.next();
    // By its own name if it has one still, so that tools that list processes show it.
    let program = env::current_exe().ok().filter(|it| it.exists());
    let mut again = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()));
    again.args(arguments);
    for (name, value) in missing {
        again.env(name, value);
    }
    if let Some(called) = called {
        again.arg0(called);
    }
    let _failed: io::Error = again.exec();
}
