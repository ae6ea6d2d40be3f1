//! The recogniser with models that answer at once, to measure what everything around them takes.
//!
//!     scripted_asr PORT

use std::error::Error;

use asr::models::scripted::Script;
use e2e::Asr;

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("which port?")?.parse()?;
    let _until_killed = Asr::scripted(Script::default(), |raw| {
        raw.server.port = port;
        raw.server.max_connections = 1000;
    });
    loop {
        std::thread::park();
    }
}
