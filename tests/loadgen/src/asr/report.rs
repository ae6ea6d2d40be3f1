//! A run in numbers, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::record::Record;
use super::score::Score;
use super::session::{Plan, samples};
use crate::percentiles::Percentiles;
use crate::process::Usage;
use crate::soak::Memory;
use crate::trouble::Trouble;

/// One run of streams.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) label: String,
    pub(crate) sessions: usize,
    pub(crate) seconds: f64,
    pub(crate) frame_ms: u64,
    pub(crate) partials: bool,
    pub(crate) final_on: super::protocol::FinalOn,
    pub(crate) utterances: Utterances,
    pub(crate) latency: Latency,
    pub(crate) accuracy: Accuracy,
    pub(crate) trouble: Trouble,
    pub(crate) accounting: Accounting,
    /// How late the load generator itself was with its frames. A large value here spoils the run.
    pub(crate) pacing: Percentiles,
    pub(crate) client: Option<Usage>,
    pub(crate) server: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uploads: Option<super::uploads::Uploads>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Utterances {
    pub(crate) spoken: usize,
    pub(crate) missing: usize,
    pub(crate) held: usize,
    pub(crate) replayed: usize,
    pub(crate) timed: usize,
    pub(crate) partials: u64,
}

/// Times of the timed recordings.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// From the sending of the last voiced sample to the final.
    pub(crate) end_to_final: Percentiles,
    /// From the sending of the last voiced sample to `speech_end`, which is sent when the turn is judged.
    pub(crate) end_to_decision: Percentiles,
    /// From `speech_end` to the final.
    pub(crate) decision_to_final: Percentiles,
    /// From the sending of the first voiced sample to the first partial.
    pub(crate) first_partial: Percentiles,
    /// From the frame sent last before the final to the final. When the server takes less than the length of a
    /// frame for it, this is what it took once it had heard enough.
    pub(crate) frame_to_final: Percentiles,
    /// `latency_ms` as the server gives it.
    pub(crate) server: Percentiles,
}

#[derive(Debug, Serialize)]
pub(crate) struct Accuracy {
    pub(crate) words: usize,
    pub(crate) errors: usize,
    pub(crate) word_error_rate: f64,
    pub(crate) exact_utterances: usize,
}

/// The sum of all `closed` messages.
#[derive(Debug, Serialize)]
pub(crate) struct Accounting {
    pub(crate) connections_closed: u64,
    pub(crate) resumes: u64,
    pub(crate) received_samples: u64,
    pub(crate) transcribed_samples: u64,
    pub(crate) silence_samples: u64,
    pub(crate) discarded_samples: u64,
    pub(crate) exact: bool,
}

impl Report {
    pub(crate) fn new(plan: &Plan, records: &[Record], seconds: Duration) -> (Report, Score) {
        let mut score = Score::default();
        let mut trouble = Trouble::default();
        let mut accounting = Accounting {
            connections_closed: 0,
            resumes: 0,
            received_samples: 0,
            transcribed_samples: 0,
            silence_samples: 0,
            discarded_samples: 0,
            exact: false,
        };
        let mut late = Vec::new();
        let mut partials = 0;
        for record in records {
            score.add(record, samples(plan.warm_up));
            trouble.add(&record.complaints);
            accounting.add(record);
            late.extend_from_slice(&record.late);
            partials += record.partials;
        }
        accounting.exact = accounting.received_samples
            == accounting.transcribed_samples
                + accounting.silence_samples
                + accounting.discarded_samples;
        let latency = Latency {
            end_to_final: Percentiles::of(score.end_to_final.clone()),
            end_to_decision: Percentiles::of(score.end_to_decision.clone()),
            decision_to_final: Percentiles::of(score.decision_to_final.clone()),
            first_partial: Percentiles::of(score.first_partial.clone()),
            frame_to_final: Percentiles::of(score.frame_to_final.clone()),
            server: Percentiles::of(score.server_latency.clone()),
        };
        let report = Report {
            label: plan.label.clone(),
            sessions: records.len(),
            seconds: seconds.as_secs_f64(),
            frame_ms: plan.frame_ms,
            partials: plan.partials,
            final_on: plan.final_on,
            utterances: Utterances {
                spoken: score.spoken,
                missing: score.missing,
                held: score.held,
                replayed: score.replayed,
                timed: score.end_to_final.len(),
                partials,
            },
            latency,
            accuracy: Accuracy {
                words: score.reference_words,
                errors: score.word_errors,
                word_error_rate: score.word_errors as f64 / score.reference_words.max(1) as f64,
                exact_utterances: score.exact,
            },
            trouble,
            accounting,
            pacing: Percentiles::of(late),
            client: None,
            server: None,
            memory: None,
            uploads: None,
        };
        (report, score)
    }

    /// Nothing was lost, refused or wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.utterances.missing == 0
            && self.trouble.is_none()
            && self.accounting.exact
            && self
                .uploads
                .as_ref()
                .is_none_or(|uploads| uploads.failed == 0)
    }
}

impl Accounting {
    fn add(&mut self, record: &Record) {
        self.connections_closed += record.accounting.connections_closed;
        self.resumes += record.resumes;
        self.received_samples += record.accounting.received;
        self.transcribed_samples += record.accounting.transcribed;
        self.silence_samples += record.accounting.silence;
        self.discarded_samples += record.accounting.discarded;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = if self.label.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.label)
        };
        writeln!(
            f,
            "{title}{} sessions, {:.0} s, {} ms frames, partials {}",
            self.sessions,
            self.seconds,
            self.frame_ms,
            if self.partials { "on" } else { "off" }
        )?;
        let u = &self.utterances;
        writeln!(
            f,
            "  utterances           {} spoken, {} without a final, {} held into the next, {} replayed, {} timed; {} partials",
            u.spoken, u.missing, u.held, u.replayed, u.timed, u.partials
        )?;
        let l = &self.latency;
        writeln!(f, "  end of speech→final  {}", l.end_to_final.line())?;
        writeln!(f, "  end→turn decision    {}", l.end_to_decision.line())?;
        writeln!(f, "  decision→final       {}", l.decision_to_final.line())?;
        writeln!(f, "  last frame→final     {}", l.frame_to_final.line())?;
        writeln!(f, "  first partial        {}", l.first_partial.line())?;
        writeln!(f, "  server's latency_ms  {}", l.server.line())?;
        let a = &self.accuracy;
        writeln!(
            f,
            "  words                {} errors in {} ({:.1} %); {} utterances exact",
            a.errors,
            a.words,
            100.0 * a.word_error_rate,
            a.exact_utterances
        )?;
        let c = &self.accounting;
        writeln!(
            f,
            "  samples              {} received = {} transcribed + {} silence + {} discarded: {}; {} closed, {} resumes",
            c.received_samples,
            c.transcribed_samples,
            c.silence_samples,
            c.discarded_samples,
            if c.exact { "exact" } else { "WRONG" },
            c.connections_closed,
            c.resumes
        )?;
        if let Some(uploads) = &self.uploads {
            writeln!(f, "  uploads              {uploads}")?;
        }
        writeln!(f, "  our frames late by   {}", self.pacing.line())?;
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
