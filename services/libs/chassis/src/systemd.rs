//! What systemd is told: that the service loads, is ready, works, stops, and whether it may have more time.
//!
//! ```text
//! start ► loading: EXTEND_TIMEOUT_USEC while the loading works ► READY=1
//!           ► WATCHDOG=1 while work is done ► STOPPING=1 ► EXTEND_TIMEOUT_USEC while work is finished ► exit
//! ```
//!
//! Invariants:
//! - More time is asked for, and the watchdog is fed, only when something was seen to be done. A process that hangs runs
//!   into the time limits of its unit, whatever it was doing.
//! - Without systemd all of this does nothing.

use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Span;

use crate::service::Service;
use crate::task;

/// How often the state is looked at while loading and while draining.
const LOOK: Duration = Duration::from_secs(5);

/// What is asked for at each look: several looks, so that one that comes late costs nothing. It also covers what is left to
/// do after the last look of a drain: the last bytes, and the threads of the models.
const MORE: Duration = Duration::from_secs(30);

/// How often the status line is written when no watchdog asks for a shorter time.
const STATUS: Duration = Duration::from_secs(15);

/// Loading that is still busy after this long is no loading.
const LONGEST_LOAD: Duration = Duration::from_secs(3600);

/// Ticks of the processor (100 a second) that count as work between two looks: 1 % of one core. The sockets of a service
/// that waits use less.
const BUSY_TICKS: u64 = 5;

/// Tells systemd that the service is ready, and feeds its watchdog from now on if it has one.
pub fn ready(service: &Service) {
    if service.readiness().is_leaving() {
        // Told to stop while it was loading.
        return;
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&status(service))]);
    let limit = sd_notify::watchdog_enabled();
    let service = service.clone();
    // Twice as often as asked for, as sd_watchdog_enabled(3) advises.
    let mut ticks = tokio::time::interval(limit.map_or(STATUS, |it| STATUS.min(it / 2)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = async move {
        loop {
            ticks.tick().await;
            let is_alive = service.is_alive();
            if limit.is_some() && is_alive {
                tell(&[NotifyState::Watchdog]);
            } else if limit.is_some() {
                tracing::error!("work has stalled; the watchdog is left unfed");
            }
            // A drain has a status of its own.
            if !service.readiness().is_leaving() {
                tell(&[NotifyState::Status(&status(&service))]);
            }
        }
    };
    drop(task::spawn("watchdog", Span::none(), feed));
}

/// Asks for more time while the parts of a service are loaded, as long as the process is seen to work: a large model takes
/// minutes on a slow disk, and a load that hangs takes for ever. Never ends; it is dropped when the parts are there.
pub(crate) async fn loading() -> Infallible {
    let began = Instant::now();
    let mut before = Effort::of_process();
    tell(&[NotifyState::Status("loading the models")]);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Effort::of_process();
        if began.elapsed() < LONGEST_LOAD && now.has_grown_since(before) {
            let text = format!("loading the models for {} s", began.elapsed().as_secs());
            tell(&[NotifyState::Status(&text), more()]);
        }
        before = now;
    }
}

/// Tells systemd that the service is about to stop.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Asks for more time while a drain finishes what it holds, so that `drain.deadline_ms` holds whatever the unit says. Never
/// ends; it is dropped at the deadline, `limit` from now, or when all is finished.
pub(crate) async fn draining(service: &Service, limit: Duration) -> Infallible {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let text = format!(
            "stopping: {} sessions and requests to finish, at most {} s left",
            service.places().n_taken(),
            limit.saturating_sub(began.elapsed()).as_secs()
        );
        if service.is_alive() {
            tell(&[NotifyState::Status(&text), more()]);
        } else {
            tell(&[NotifyState::Status(&text)]);
        }
    }
}

fn status(service: &Service) -> String {
    if !service.is_alive() {
        return "stalled: no model has finished anything".to_owned();
    }
    match service.readiness().reasons().first() {
        None => {
            let n_taken = service.places().n_taken();
            format!("ready, {n_taken} sessions and requests")
        }
        Some(reason) => format!("not ready: {reason}"),
    }
}

/// What the process has done since it was started, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Effort {
    /// Time on processors, of all its threads, in ticks.
    n_ticks: u64,
    /// Pages that had to be read from a disk: how models come into memory.
    n_faults: u64,
}

impl Effort {
    fn of_process() -> Effort {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Effort::parse(&stat).unwrap_or_default()
    }

    /// Reads proc_pid_stat(5): fields 12 (major faults), 14 and 15 (user and system time). The second is the name of the
    /// program in brackets, and may hold anything.
    fn parse(stat: &str) -> Option<Effort> {
        let (_name, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Effort {
            n_ticks: field(14)?.saturating_add(field(15)?),
            n_faults: field(12)?,
        })
    }

    fn has_grown_since(self, before: Effort) -> bool {
        before.n_faults < self.n_faults || before.n_ticks.saturating_add(BUSY_TICKS) <= self.n_ticks
    }
}

fn more() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(MORE.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    // Without systemd there is no socket to tell, and that is not an error.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 500 0 33 0 120 30 0 0 20 0 5 0 100 1000 200";
        let effort = Effort {
            n_ticks: 150,
            n_faults: 33,
        };
        assert_eq!(Effort::parse(stat), Some(effort));
        assert_eq!(Effort::parse("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_that_waits_makes_no_effort_and_one_that_computes_does() {
        let before = Effort {
            n_ticks: 100,
            n_faults: 3,
        };
        let after = |n_ticks, n_faults| Effort { n_ticks, n_faults }.has_grown_since(before);
        assert!(!after(100, 3), "it hangs");
        assert!(!after(104, 3), "its sockets were looked at");
        assert!(after(105, 3), "it computes");
        assert!(after(100, 4), "it reads");
    }

    #[test]
    fn the_effort_of_this_process_grows_as_it_computes() {
        let before = Effort::of_process();
        let began = std::time::Instant::now();
        let mut n = 0_u64;
        while !Effort::of_process().has_grown_since(before) {
            n = std::hint::black_box(n + 1);
            assert!(began.elapsed() < Duration::from_secs(60), "nothing grew");
        }
    }
}
