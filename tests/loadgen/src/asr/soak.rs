//! A long run, with a sign of life and the server's memory once a minute.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::load::{self, Crowd};
use super::report::Report;
use super::session::Plan;
use crate::process::Watch;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs to the end. `tell` gets a line each minute.
pub(crate) async fn run(plan: &Plan, crowd: Crowd, tell: &impl Fn(&str)) -> Report {
    tokio::select! {
        (report, _) = Box::pin(load::run(plan, crowd)) => report,
        never = tell_each_minute(plan.server_pid, tell) => match never {},
    }
}

async fn tell_each_minute(pid: Option<u32>, tell: &impl Fn(&str)) -> Infallible {
    let begun = Instant::now();
    loop {
        let watch = pid.and_then(Watch::of);
        tokio::time::sleep(MINUTE).await;
        let server = watch
            .and_then(|watch| watch.usage())
            .map(|usage| usage.line())
            .unwrap_or_default();
        tell(&format!(
            "{:>5.0} s  {server}",
            begun.elapsed().as_secs_f64()
        ));
    }
}
