//! A run in numbers, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::record::{End, Record, Request, duration};
use super::session::Plan;
use crate::percentiles::{Percentiles, Spread, ms};
use crate::process::Usage;
use crate::soak::Memory;
use crate::trouble::{Complaints, Trouble};

/// One run of listeners.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) label: String,
    pub(crate) sessions: usize,
    pub(crate) seconds: f64,
    pub(crate) requests: Requests,
    pub(crate) audio_seconds: f64,
    pub(crate) chunks: u64,
    pub(crate) latency: Latency,
    /// From the request to its last audio, as a part of the audio's duration. Includes waiting for others.
    pub(crate) real_time_factor: Spread,
    pub(crate) playback: Played,
    pub(crate) voices: Voices,
    pub(crate) trouble: Trouble,
    pub(crate) connections_closed: u64,
    pub(crate) client: Option<Usage>,
    pub(crate) server: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Memory>,
}

/// How the requests ended: all of them, each once.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Requests {
    pub(crate) asked: usize,
    pub(crate) completed: usize,
    pub(crate) cancelled: usize,
    pub(crate) failed: usize,
    /// The listener, or the connection, was gone.
    pub(crate) abandoned: usize,
    /// Asked for after the warm-up, so that their times count.
    pub(crate) timed: usize,
    /// Spoken more than once with the same words and voice: each time as long as before.
    pub(crate) compared: usize,
}

/// Times of the timed requests.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// From the request to its first audio.
    pub(crate) first_chunk: Percentiles,
    /// The same where the text came in pieces: from the first piece.
    pub(crate) first_chunk_in_pieces: Percentiles,
    /// From the request to its last audio, of those that were completed and whose text was all there.
    pub(crate) last_chunk: Percentiles,
    /// `first_chunk_ms` as the server gives it.
    pub(crate) server_first_chunk: Percentiles,
    /// From the sending of `cancel` to the last byte of the request, which is that of `cancelled`.
    pub(crate) cancel_to_last: Percentiles,
    /// From `register_voice` to `voice_registered`.
    pub(crate) register_voice: Percentiles,
}

/// What the loudspeakers noticed. Of all requests, also in the warm-up.
#[derive(Debug, Serialize)]
pub(crate) struct Played {
    /// Requests with more than one chunk.
    pub(crate) played: usize,
    /// Of these: with a chunk that came too late.
    pub(crate) starved: usize,
    pub(crate) late_chunks: usize,
    pub(crate) late: Percentiles,
    /// Of 100 requests, the one whose chunks came with the least to spare; and the median.
    pub(crate) spare_p1_ms: f64,
    pub(crate) spare_p50_ms: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Voices {
    pub(crate) registered: usize,
    pub(crate) deleted: u64,
}

impl Report {
    pub(crate) fn new(plan: &Plan, records: &[Record], begun: Instant) -> Report {
        let all = || records.iter().flat_map(|record| &record.requests);
        let timed = || all().filter(|it| begun + plan.warm_up <= it.asked);
        let first = |it: &Request| Some(it.first_chunk?.saturating_duration_since(it.asked));
        let count =
            |end: End| all().filter(move |it| matches!(it.ended, Some((so, _)) if so == end));
        let mut trouble = Trouble::default();
        for record in records {
            trouble.add(&record.complaints);
        }
        let (compared, differ) = compare(all());
        trouble.add(&differ);
        let registered: Vec<Duration> = records
            .iter()
            .flat_map(|record| record.registered.iter().copied())
            .collect();
        Report {
            label: plan.label.clone(),
            sessions: records.len(),
            seconds: begun.elapsed().as_secs_f64(),
            requests: Requests {
                asked: all().count(),
                completed: count(End::Complete).count(),
                cancelled: count(End::Cancelled).count(),
                failed: count(End::Failed).count(),
                abandoned: count(End::Abandoned).count(),
                timed: timed().count(),
                compared,
            },
            audio_seconds: duration(all().map(|it| it.n_samples).sum(), plan.wanted.sample_rate)
                .as_secs_f64(),
            chunks: all().map(|it| it.n_chunks).sum(),
            latency: Latency {
                first_chunk: Percentiles::of(
                    timed()
                        .filter(|it| !it.in_pieces)
                        .filter_map(first)
                        .collect(),
                ),
                first_chunk_in_pieces: Percentiles::of(
                    timed()
                        .filter(|it| it.in_pieces)
                        .filter_map(first)
                        .collect(),
                ),
                last_chunk: Percentiles::of(timed().filter_map(whole).collect()),
                server_first_chunk: Percentiles::of(
                    timed().filter_map(|it| it.server_first_chunk).collect(),
                ),
                cancel_to_last: Percentiles::of(timed().filter_map(after_cancel).collect()),
                register_voice: Percentiles::of(registered.clone()),
            },
            real_time_factor: Spread::of(
                timed()
                    .filter_map(|it| real_time_factor(it, plan.wanted.sample_rate))
                    .collect(),
            ),
            playback: Played::of(all()),
            voices: Voices {
                registered: registered.len(),
                deleted: records.iter().map(|it| it.voices_deleted).sum(),
            },
            trouble,
            connections_closed: records.iter().map(|it| it.connections_closed).sum(),
            client: None,
            server: None,
            memory: None,
        }
    }

    /// Nothing was lost, refused or wrong. What came late is not among it: that is a matter of load.
    pub(crate) fn is_clean(&self) -> bool {
        self.trouble.is_none() && self.requests.failed == 0
    }
}

/// From asking for the end to it, where it was in time.
fn after_cancel(request: &Request) -> Option<Duration> {
    let (end, at) = request.ended?;
    (end == End::Cancelled)
        .then(|| Some(at.saturating_duration_since(request.cancelled?)))
        .flatten()
}

/// Until the last audio.
fn whole(request: &Request) -> Option<Duration> {
    let is_whole = matches!(request.ended, Some((End::Complete, _))) && !request.in_pieces;
    let last = request.last_chunk.filter(|_| is_whole)?;
    Some(last.saturating_duration_since(request.asked))
}

fn real_time_factor(request: &Request, rate: u32) -> Option<f64> {
    let audio = duration(request.n_samples, rate);
    Some(whole(request)?.as_secs_f64() / audio.as_secs_f64())
}

/// The same words in the same voice with the same seed are as long every time, whoever else is spoken to.
fn compare<'a>(requests: impl Iterator<Item = &'a Request>) -> (usize, Complaints) {
    let mut known: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut compared, mut differ) = (0, Complaints::default());
    for request in requests {
        let (Some(what), Some((End::Complete, _))) = (&request.what, request.ended) else {
            continue;
        };
        if let Some(before) = known.insert(what, request.n_samples) {
            compared += 1;
            if before != request.n_samples {
                differ.violation(format!(
                    "{before} samples the one time and {} the other: {what}",
                    request.n_samples
                ));
            }
        }
    }
    (compared, differ)
}

impl Played {
    fn of<'a>(requests: impl Iterator<Item = &'a Request>) -> Played {
        let mut spare = Vec::new();
        let mut late = Vec::new();
        let mut starved = 0;
        for request in requests {
            spare.extend(request.playback.least_spare);
            starved += usize::from(!request.playback.late.is_empty());
            late.extend(&request.playback.late);
        }
        spare.sort_unstable();
        let at = |part: usize| {
            spare
                .get(spare.len() * part / 100)
                .map_or(0.0, |it| ms(*it))
        };
        Played {
            played: spare.len(),
            starved,
            late_chunks: late.len(),
            spare_p1_ms: at(1),
            spare_p50_ms: at(50),
            late: Percentiles::of(late),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.label.as_str() {
            "" => String::new(),
            label => format!("{label}: "),
        };
        writeln!(
            f,
            "{title}{} listeners, {:.0} s, {:.0} s of audio in {} chunks ({:.1} times real time)",
            self.sessions,
            self.seconds,
            self.audio_seconds,
            self.chunks,
            self.audio_seconds / self.seconds
        )?;
        let r = &self.requests;
        writeln!(
            f,
            "  requests             {} = {} completed + {} cancelled + {} failed + {} abandoned; {} timed, {} compared",
            r.asked, r.completed, r.cancelled, r.failed, r.abandoned, r.timed, r.compared
        )?;
        let l = &self.latency;
        writeln!(f, "  first sound          {}", l.first_chunk.line())?;
        if l.first_chunk_in_pieces.n != 0 {
            writeln!(
                f,
                "  text in pieces       {}",
                l.first_chunk_in_pieces.line()
            )?;
        }
        writeln!(f, "  last sound           {}", l.last_chunk.line())?;
        writeln!(f, "  server's first chunk {}", l.server_first_chunk.line())?;
        if l.cancel_to_last.n != 0 {
            writeln!(f, "  cancel→last byte     {}", l.cancel_to_last.line())?;
        }
        let factor = &self.real_time_factor;
        writeln!(
            f,
            "  real-time factor     p50 {:>7.3}  p95 {:>7.3}  p99 {:>7.3}  max {:>7.3}     (n {})",
            factor.p50, factor.p95, factor.p99, factor.max, factor.n
        )?;
        let p = &self.playback;
        writeln!(
            f,
            "  playback             {} of {} starved, {} late chunks; least spare of a request p1 {:.0} p50 {:.0} ms",
            p.starved, p.played, p.late_chunks, p.spare_p1_ms, p.spare_p50_ms
        )?;
        if p.late_chunks != 0 {
            writeln!(f, "  late by              {}", p.late.line())?;
        }
        if self.voices.registered != 0 {
            writeln!(
                f,
                "  voices               {} registered, {} deleted; {}",
                self.voices.registered,
                self.voices.deleted,
                l.register_voice.line()
            )?;
        }
        if let Some(usage) = &self.client {
            writeln!(f, "  load generator       {}", usage.line())?;
        }
        if let Some(usage) = &self.server {
            writeln!(f, "  server               {}", usage.line())?;
        }
        if let Some(memory) = &self.memory {
            writeln!(f, "  server's memory      {}", memory.line())?;
        }
        f.write_str(&self.trouble.lines())
    }
}
