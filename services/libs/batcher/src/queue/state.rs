//! Who waits, and who is next. Pure: the time is told, and what is to be answered is returned.
//!
//! Invariants:
//! - Within a lane, jobs stand in the order of `due`, those without one behind, and equals in the order
//!   of their turns. A job that replaces another inherits its turn.
//! - The oldest job of a lane leads a call of the lane at the latest `raise_after` after it came, or
//!   after the oldest of before was taken. Earlier dues pass it until then.
//! - At most one job of a stream waits in a lane.
//! - Nothing leaves without being returned.

use std::{
    collections::VecDeque,
    mem,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use super::StreamId;
use crate::{
    gather,
    lane::{Lane, PerLane},
};

/// After this time without a call, a remembered wait has lost half its weight.
const RECENT_HALF_LIFE_S: f64 = 1.0;

/// What a waiting job carries, and the only thing asked of it.
pub(crate) trait Abandonable {
    /// Whether its caller has gone.
    fn is_abandoned(&self) -> bool;
}

/// What of a job decides its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<K> {
    pub(crate) key: K,
    pub(crate) at: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) due: Option<Instant>,
    pub(crate) stream: Option<StreamId>,
}

/// When the first job that had this turn came. The older is the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    number: u64,
    since: Instant,
}

#[derive(Debug)]
pub(crate) struct Entry<K, T> {
    turn: Turn,
    pub(crate) arrival: Arrival<K>,
    pub(crate) load: T,
}

impl<K, T: Abandonable> Entry<K, T> {
    /// The smaller goes first. What is due at no time in particular is due after everything else.
    fn order(&self) -> (bool, Option<Instant>, Turn) {
        let due = self.arrival.due;
        (due.is_none(), due, self.turn)
    }

    /// A dead job is one that nobody waits for.
    fn is_dead(&self, now: Instant) -> bool {
        self.arrival
            .deadline
            .is_some_and(|deadline| deadline <= now)
            || self.load.is_abandoned()
    }
}

/// The next call, and who left the line without one.
#[derive(Debug)]
pub(crate) struct Taken<K, T> {
    pub(crate) lane: Lane,
    /// Empty if nobody waits.
    pub(crate) batch: Vec<Entry<K, T>>,
    /// Abandoned or expired.
    pub(crate) dead: Vec<Entry<K, T>>,
}

#[derive(Debug)]
pub(crate) struct State<K, T> {
    max_batch: PerLane<NonZeroUsize>,
    raise_after: Duration,
    n_turns: u64,
    lanes: PerLane<Row<K, T>>,
}

#[derive(Debug)]
struct Row<K, T> {
    jobs: VecDeque<Entry<K, T>>,
    served: Option<Instant>,
    /// When the job that was the oldest then was last taken.
    served_oldest: Option<Instant>,
    /// In seconds, as of `served`.
    recent_wait: f64,
}

impl<K: PartialEq, T: Abandonable> State<K, T> {
    pub(crate) fn new(max_batch: PerLane<NonZeroUsize>, raise_after: Duration) -> State<K, T> {
        State {
            max_batch,
            raise_after,
            n_turns: 0,
            lanes: PerLane::from_fn(|_| Row {
                jobs: VecDeque::new(),
                served: None,
                served_oldest: None,
                recent_wait: 0.0,
            }),
        }
    }

    pub(crate) fn push(&mut self, lane: Lane, arrival: Arrival<K>, load: T) {
        let turn = Turn {
            number: self.n_turns,
            since: arrival.at,
        };
        self.n_turns += 1;
        self.lanes[lane].insert(Entry {
            turn,
            arrival,
            load,
        });
    }

    /// Takes the job of this stream that waits in the lane out of the line, for a newer one to take over
    /// its turn: [`State::put_back`] returns it.
    ///
    /// Its turn and not the last one: a stream that speaks more often than it is served would otherwise
    /// never reach the front.
    pub(crate) fn take_turn(&mut self, lane: Lane, stream: StreamId) -> Option<Entry<K, T>> {
        let jobs = &mut self.lanes[lane].jobs;
        let found = jobs
            .iter()
            .position(|job| job.arrival.stream == Some(stream));
        found.and_then(|found| jobs.remove(found))
    }

    pub(crate) fn put_back(&mut self, lane: Lane, turn: Entry<K, T>) {
        self.lanes[lane].insert(turn);
    }

    /// Removes the dead.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<Entry<K, T>> {
        let mut dead = Vec::new();
        for lane in Lane::ALL {
            let jobs = &mut self.lanes[lane].jobs;
            // Mostly nobody is dead, and then nothing is moved.
            if jobs.iter().any(|job| job.is_dead(now)) {
                for job in mem::take(jobs) {
                    if job.is_dead(now) {
                        dead.push(job);
                    } else {
                        jobs.push_back(job);
                    }
                }
            }
        }
        dead
    }

    /// Forms the next batch.
    pub(crate) fn take(&mut self, now: Instant) -> Taken<K, T> {
        let dead = self.sweep(now);
        let Some(lane) = self.next_lane(now) else {
            return Taken {
                lane: Lane::Urgent,
                batch: Vec::new(),
                dead,
            };
        };
        let raise_after = self.raise_after;
        let row = &mut self.lanes[lane];
        let oldest = row.oldest();
        if oldest.is_some_and(|turn| row.is_overdue(turn, raise_after, now)) {
            row.lead_with(oldest);
        }
        let batch = gather::take_batch(&mut row.jobs, self.max_batch[lane], |a, b| {
            a.arrival.key == b.arrival.key
        });
        if let Some(front) = batch.first() {
            let wait = now
                .saturating_duration_since(front.arrival.at)
                .as_secs_f64();
            // A quarter at a time: follows a change within a few calls, ignores a single odd one.
            row.recent_wait = 0.75 * row.recent_wait_at(now) + 0.25 * wait;
        }
        row.served = Some(now);
        if batch.iter().any(|job| Some(job.turn) == oldest) {
            row.served_oldest = Some(now);
        }
        Taken { lane, batch, dead }
    }

    /// Empties the line.
    pub(crate) fn take_all(&mut self) -> Vec<Entry<K, T>> {
        Lane::ALL
            .into_iter()
            .flat_map(|lane| mem::take(&mut self.lanes[lane].jobs))
            .collect()
    }

    pub(crate) fn max_batch(&self, lane: Lane) -> usize {
        self.max_batch[lane].get()
    }

    pub(crate) fn n_waiting(&self, lane: Lane) -> usize {
        self.lanes[lane].jobs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        Lane::ALL.iter().all(|&lane| self.n_waiting(lane) == 0)
    }

    /// When the next job dies that is left alone.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let jobs = Lane::ALL.iter().flat_map(|&lane| &self.lanes[lane].jobs);
        jobs.filter_map(|job| job.arrival.deadline).min()
    }

    pub(crate) fn oldest_wait(&self, lane: Lane, now: Instant) -> Duration {
        let oldest = self.lanes[lane].oldest();
        oldest.map_or(Duration::ZERO, |turn| {
            now.saturating_duration_since(turn.since)
        })
    }

    pub(crate) fn recent_wait(&self, lane: Lane, now: Instant) -> Duration {
        Duration::from_secs_f64(self.lanes[lane].recent_wait_at(now))
    }

    /// The lane of the highest standing; of equals, the one whose oldest job is older.
    fn next_lane(&self, now: Instant) -> Option<Lane> {
        Lane::ALL
            .into_iter()
            .filter_map(|lane| {
                let oldest = self.lanes[lane].oldest()?.since;
                Some((lane, self.standing(lane, oldest, now), oldest))
            })
            .min_by_key(|&(_, standing, since)| (standing, since))
            .map(|(lane, _, _)| lane)
    }

    /// 0 is the highest.
    ///
    /// A lane ages from when it was last served, not only from its oldest job. So a long line of old
    /// background jobs gets one early batch each `raise_after`; by age alone it would overtake everybody
    /// until it is empty.
    fn standing(&self, lane: Lane, oldest: Instant, now: Instant) -> usize {
        let aged_since = self.lanes[lane]
            .served
            .map_or(oldest, |served| served.max(oldest));
        let age = now.saturating_duration_since(aged_since);
        let n_raised = [self.raise_after, self.raise_after.saturating_mul(2)]
            .into_iter()
            .filter(|&limit| limit <= age)
            .count();
        (lane as usize).saturating_sub(n_raised)
    }
}

impl<K, T: Abandonable> Row<K, T> {
    /// Behind those that go first and those that go when it does. Mostly the last place.
    fn insert(&mut self, entry: Entry<K, T>) {
        let order = entry.order();
        let behind = self.jobs.partition_point(|job| job.order() <= order);
        self.jobs.insert(behind, entry);
    }

    /// The front need not be it.
    fn oldest(&self) -> Option<Turn> {
        self.jobs.iter().map(|job| job.turn).min()
    }

    /// Whether the oldest was passed over for long enough.
    ///
    /// As with lanes, age counts from when an oldest job was last taken: under a long overload one job
    /// in each `raise_after` goes by age, and the others still by their dues.
    fn is_overdue(&self, oldest: Turn, raise_after: Duration, now: Instant) -> bool {
        let aged_since = self
            .served_oldest
            .map_or(oldest.since, |served| served.max(oldest.since));
        raise_after <= now.saturating_duration_since(aged_since)
    }

    /// Puts the job of this turn in front.
    fn lead_with(&mut self, turn: Option<Turn>) {
        let found = self.jobs.iter().position(|job| Some(job.turn) == turn);
        if let Some(job) = found.and_then(|found| self.jobs.remove(found)) {
            self.jobs.push_front(job);
        }
    }

    fn recent_wait_at(&self, now: Instant) -> f64 {
        let Some(served) = self.served else {
            return 0.0;
        };
        let idle_s = now.saturating_duration_since(served).as_secs_f64();
        self.recent_wait * (-idle_s / RECENT_HALF_LIFE_S).exp2()
    }
}

#[cfg(test)]
mod tests;
