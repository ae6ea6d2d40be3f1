//! Segments as `SubRip` and `WebVTT` subtitles.
//!
//! Invariants:
//! - A cue never ends before it begins, and hours are not cut off.
//! - A cue's text cannot end its cue: blank lines inside it are closed up, and `-->` is broken in `WebVTT`.

use std::fmt::Write as _;

use crate::transcript::Segment;

/// `SubRip`: counted cues, a comma before the milliseconds.
pub fn srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (n, segment) in segments.iter().enumerate() {
        let (start, end) = times(segment);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{}\n{} --> {}\n{}\n\n",
            n + 1,
            clock(start, ','),
            clock(end, ','),
            one_paragraph(&segment.text)
        );
    }
    out
}

/// `WebVTT`: a header line, a full stop before the milliseconds.
pub fn vtt(segments: &[Segment]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for segment in segments {
        let (start, end) = times(segment);
        let text = escaped(&one_paragraph(&segment.text));
        let _ = write!(
            out,
            "{} --> {}\n{text}\n\n",
            clock(start, '.'),
            clock(end, '.')
        );
    }
    out
}

fn times(segment: &Segment) -> (u64, u64) {
    let start = millis(segment.start);
    (start, millis(segment.end).max(start))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and not-a-number becomes zero"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

fn clock(millis: u64, mark: char) -> String {
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    format!(
        "{:02}:{:02}:{:02}{mark}{millis:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn one_paragraph(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::dialect::tests::segment;

    #[test]
    fn srt_counts_cues_and_keeps_hours() {
        let segments = [
            segment(0.0, 2.5, " Turn on the light."),
            segment(3_661.042, 360_000.0, " Twice\n\n\n said. "),
        ];
        expect![[r"
            1
            00:00:00,000 --> 00:00:02,500
            Turn on the light.

            2
            01:01:01,042 --> 100:00:00,000
            Twice
            said.

        "]]
        .assert_eq(&srt(&segments));
        assert_eq!(srt(&[]), "");
    }

    #[test]
    fn vtt_has_a_header_and_cannot_be_broken_by_text() {
        let segments = [segment(1.0, 0.5, " a --> b & <c>")];
        expect![[r"
            WEBVTT

            00:00:01.000 --> 00:00:01.000
            a --&gt; b &amp; &lt;c&gt;

        "]]
        .assert_eq(&vtt(&segments));
        assert_eq!(vtt(&[]), "WEBVTT\n\n");
    }

    #[test]
    fn a_time_that_is_no_number_is_zero() {
        assert!(srt(&[segment(f64::NAN, -1.0, "x")]).contains("00:00:00,000 --> 00:00:00,000"));
    }
}
