//! One user over one or more connections: plays a stream, and after a broken connection goes on where
//! the server's promises end.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::connection::{self, Ending, Source};
use super::protocol::{FinalOn, Wanted};
use super::record::Record;
use crate::clip::RATE;
use crate::playlist::{Playlist, Stream};
use crate::random::Random;
use crate::socket;

/// What all sessions of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// A name for reports and charts.
    pub(crate) label: String,
    /// `host:port`.
    pub(crate) server: String,
    /// The server's process, if it runs on this machine.
    pub(crate) server_pid: Option<u32>,
    pub(crate) playlist: Playlist,
    pub(crate) noise: Arc<[i16]>,
    pub(crate) seed: u64,
    pub(crate) frame_ms: u64,
    pub(crate) partials: bool,
    pub(crate) final_on: FinalOn,
    /// How long to play; the recording that is on then is played to its end, with the pause after it.
    pub(crate) length: Duration,
    /// Recordings that end before this are not timed.
    pub(crate) warm_up: Duration,
    /// Mean time between broken connections of one session.
    pub(crate) break_every: Option<Duration>,
}

/// How often a session whose connection the server cut tries again.
const MAX_LOST: usize = 5;

/// Runs one session to its end.
pub(crate) async fn run(plan: &Plan, number: u64, starts_at: Instant) -> Record {
    let mut random = Random::new(plan.seed ^ number.wrapping_mul(0xA076_1D64_78BD_642F));
    let mut stream = Stream::new(&plan.playlist, random.next(), Arc::clone(&plan.noise));
    let until = stream.next_rest(samples(plan.length));
    let frame_samples = plan.frame_ms * u64::from(RATE) / 1000;
    // Frames of different sessions fall between each other, as those of independent callers do.
    let zero = starts_at + Duration::from_micros(random.between(0, plan.frame_ms * 1000));
    let mut source = Source {
        stream,
        zero,
        position: 0,
        frame_samples,
        until,
        break_at: None,
    };
    let record = RefCell::new(Record::default());
    sleep(zero.saturating_duration_since(Instant::now())).await;
    let mut furthest = 0;
    for connection in 0.. {
        record.borrow_mut().begin_connection(connection);
        // Counted from the furthest sample ever sent: a session that kept breaking at the same place would never end.
        source.break_at = plan
            .break_every
            .map(|mean| furthest + samples(mean) / 2 + random.between(0, samples(mean)));
        let wanted = Wanted {
            partials: plan.partials,
            final_on: plan.final_on,
            start_sample: source.position,
        };
        let ending = match socket::open(&wanted.url(&plan.server)).await {
            Ok(Ok(socket)) => connection::play(*socket, &mut source, &record).await,
            Ok(Err(refusal)) => {
                record.borrow_mut().complaints.refused = Some(refusal);
                break;
            }
            Err(error) => Ending::Lost(format!("{error:#}")),
        };
        if let Ending::Closed = ending {
            break;
        }
        if let Ending::Lost(why) = ending {
            let mut record = record.borrow_mut();
            record.complaints.lost.push(why);
            if plan.break_every.is_none() || record.complaints.lost.len() == MAX_LOST {
                break;
            }
        }
        sleep(Duration::from_millis(random.between(20, 500))).await;
        furthest = furthest.max(source.position);
        let mut record = record.borrow_mut();
        let safe = record.safe_sample().min(source.position);
        record.replay(safe, source.position);
        source.position = safe;
    }
    record.into_inner()
}

/// Samples that pass in a time.
pub(crate) fn samples(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(RATE) / 1_000_000_000).unwrap_or(u64::MAX)
}
