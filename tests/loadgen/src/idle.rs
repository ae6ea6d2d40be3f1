//! Many open WebSockets on which nobody speaks: what one costs the server.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::sleep;

use crate::percentiles::Percentiles;
use crate::process::{Usage, Watch};
use crate::socket::{self, Socket};

/// How many upgrades are under way at once.
const AT_ONCE: usize = 64;

/// What the idle sessions did.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) wanted: usize,
    pub(crate) opened: usize,
    pub(crate) refused: usize,
    pub(crate) first_refusal: Option<String>,
    /// Still open after the hold.
    pub(crate) held: usize,
    pub(crate) hold_seconds: f64,
    /// From the first byte of the upgrade to `ready`.
    pub(crate) open_time: Percentiles,
    pub(crate) server_before: Option<Usage>,
    pub(crate) server_after: Option<Usage>,
}

impl Idle {
    /// Kilobytes of the server's memory for each session.
    fn kilobytes_each(&self) -> Option<f64> {
        let grown =
            self.server_after.as_ref()?.resident_mb - self.server_before.as_ref()?.resident_mb;
        Some(grown * 1024.0 / self.opened.max(1) as f64)
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} idle sessions wanted: {} opened, {} refused, {} still open after {:.0} s",
            self.wanted, self.opened, self.refused, self.held, self.hold_seconds
        )?;
        writeln!(f, "  time to open         {}", self.open_time.line())?;
        if let Some(why) = &self.first_refusal {
            writeln!(f, "  REFUSED              {why}")?;
        }
        if let (Some(before), Some(after)) = (&self.server_before, &self.server_after) {
            writeln!(f, "  server before        {}", before.line())?;
            writeln!(f, "  server with them     {}", after.line())?;
        }
        if let Some(each) = self.kilobytes_each() {
            writeln!(f, "  each                 {each:.1} KB")?;
        }
        Ok(())
    }
}

/// Opens `n` streams, holds them and lets them go.
pub(crate) async fn run(url: &str, n: usize, hold: Duration, pid: Option<u32>) -> Result<Idle> {
    let files = open_files_limit();
    ensure!(
        files.is_none_or(|limit| n + 100 <= limit),
        "{n} connections need as many open files; the limit here is {}. Raise it first: ulimit -n {}",
        files.unwrap_or(0),
        n + 1000
    );
    let watch = pid.and_then(Watch::of);
    let server_before = watch.as_ref().and_then(Watch::usage);
    let opening = (0..n).map(|_| async {
        let begun = Instant::now();
        (Box::pin(socket::open(url)).await, begun.elapsed())
    });
    let results: Vec<_> = stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut sockets = Vec::new();
    let mut times = Vec::new();
    let mut first_refusal = None;
    for (result, took) in results {
        match result {
            Ok(Ok(socket)) => {
                sockets.push(socket);
                times.push(took);
            }
            Ok(Err(refusal)) => first_refusal = first_refusal.or(Some(refusal)),
            Err(error) => first_refusal = first_refusal.or(Some(format!("{error:#}"))),
        }
    }
    let opened = sockets.len();
    let open_now = Rc::new(Cell::new(opened));
    // Reading answers the server's pings; whoever does not is hung up on.
    let reading = join_all(
        sockets
            .into_iter()
            .map(|socket| listen(socket, Rc::clone(&open_now))),
    );
    tokio::select! {
        _all_gone = reading => {}
        () = sleep(hold) => {}
    }
    Ok(Idle {
        wanted: n,
        opened,
        refused: n - opened,
        first_refusal,
        held: open_now.get(),
        hold_seconds: hold.as_secs_f64(),
        open_time: Percentiles::of(times),
        server_before,
        server_after: watch.and_then(|watch| watch.usage()),
    })
}

async fn listen(mut socket: Box<Socket>, open_now: Rc<Cell<usize>>) {
    while let Some(Ok(_)) = socket.next().await {}
    open_now.set(open_now.get() - 1);
}

fn open_files_limit() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
