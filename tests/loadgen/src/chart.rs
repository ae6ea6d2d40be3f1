//! A picture of latency against load, as SVG.
//!
//! Both axes are logarithmic, so that a server that carries five streams and one that carries fifty can be read in
//! the same picture, and so can 50 ms and 5 s.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::search::{Found, Step};

/// One server's curve.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// What the times are.
    #[serde(default)]
    pub(crate) measure: String,
    pub(crate) steps: Vec<Step>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 60.0;
/// Told apart also by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00"];

/// Reads results of a search and draws them together.
pub(crate) fn from_files(results: &[PathBuf], out: &Path, goal_ms: f64) -> Result<()> {
    let mut series = Vec::new();
    for path in results {
        let json =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        series.push(
            serde_json::from_str::<Series>(&json)
                .with_context(|| format!("{} is not a result of --find-limit", path.display()))?,
        );
    }
    fs::write(out, draw(&series, goal_ms))
        .with_context(|| format!("cannot write {}", out.display()))
}

/// Draws one search.
pub(crate) fn of_search<G, R>(found: &Found<G, R>, out: &Path, goal_ms: f64) -> Result<()> {
    let series = [Series {
        label: found.label.clone(),
        measure: found.measure.to_owned(),
        steps: found.steps.clone(),
    }];
    fs::write(out, draw(&series, goal_ms))
        .with_context(|| format!("cannot write {}", out.display()))
}

/// The picture as text.
fn draw(series: &[Series], goal_ms: f64) -> String {
    let frame = Frame::around(series, goal_ms);
    let mut svg = String::new();
    frame.open(&mut svg, series.first().map_or("", |one| &one.measure));
    frame.grid(&mut svg);
    frame.goal(&mut svg, goal_ms);
    for (idx, one) in series.iter().enumerate() {
        frame.curve(&mut svg, idx, one);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The region of load and latency that is shown.
struct Frame {
    sessions: (f64, f64),
    ms: (f64, f64),
}

impl Frame {
    fn around(series: &[Series], goal_ms: f64) -> Frame {
        let mut frame = Frame {
            sessions: (1.0, 4.0),
            ms: (goal_ms / 5.0, goal_ms * 2.0),
        };
        for step in series.iter().flat_map(|one| &one.steps) {
            frame.sessions.1 = frame.sessions.1.max(step.sessions as f64 * 1.15);
            if 0.0 < step.p50_ms {
                frame.ms.0 = frame.ms.0.min(step.p50_ms * 0.8);
                frame.ms.1 = frame.ms.1.max(step.p95_ms * 1.2);
            }
        }
        frame
    }

    fn x(&self, sessions: f64) -> f64 {
        LEFT + part(sessions, self.sessions) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, ms: f64) -> f64 {
        HEIGHT - BOTTOM - part(ms, self.ms) * (HEIGHT - TOP - BOTTOM)
    }

    fn open(&self, svg: &mut String, measure: &str) {
        add(
            svg,
            &format!(
                r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13">
<title>Latency against load</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="24" font-size="16" fill="#222222">{}: p95 (solid) and p50 (dotted); an open circle missed a goal</text>"##,
                escaped(measure)
            ),
        );
    }

    fn grid(&self, svg: &mut String) {
        let bottom = HEIGHT - BOTTOM;
        for sessions in ticks(self.sessions) {
            let x = self.x(sessions);
            add(
                svg,
                &format!(
                    r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="#e4e4e4"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555555">{sessions}</text>"##,
                    bottom + 18.0
                ),
            );
        }
        for ms in ticks(self.ms) {
            let y = self.y(ms);
            add(
                svg,
                &format!(
                    r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="#e4e4e4"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#555555">{ms}</text>"##,
                    WIDTH - RIGHT,
                    LEFT - 8.0,
                    y + 4.0
                ),
            );
        }
        add(
            svg,
            &format!(
                r##"<rect x="{LEFT}" y="{TOP}" width="{:.1}" height="{:.1}" fill="none" stroke="#888888"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#222222">concurrent real-time streams</text>
<text transform="translate(18 {:.1}) rotate(-90)" text-anchor="middle" fill="#222222">milliseconds</text>"##,
                WIDTH - LEFT - RIGHT,
                bottom - TOP,
                LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
                HEIGHT - 18.0,
                TOP + (bottom - TOP) / 2.0
            ),
        );
    }

    fn goal(&self, svg: &mut String, goal_ms: f64) {
        let y = self.y(goal_ms);
        add(
            svg,
            &format!(
                r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="#222222" stroke-dasharray="6 4"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#222222">goal {goal_ms} ms</text>"##,
                WIDTH - RIGHT,
                WIDTH - RIGHT - 6.0,
                y - 6.0
            ),
        );
    }

    fn curve(&self, svg: &mut String, idx: usize, series: &Series) {
        let colour = COLOURS[idx % COLOURS.len()];
        // The better of two tries stands for a step, as in the search itself.
        let mut steps: Vec<&Step> = Vec::new();
        for step in series.steps.iter().filter(|step| 0.0 < step.p50_ms) {
            match steps
                .iter_mut()
                .find(|known| known.sessions == step.sessions)
            {
                Some(known) if step.p95_ms < known.p95_ms => *known = step,
                Some(_) => {}
                None => steps.push(step),
            }
        }
        steps.sort_by_key(|step| step.sessions);
        for (dash, value) in [
            ("", (|step| step.p95_ms) as fn(&Step) -> f64),
            (r#" stroke-dasharray="2 4""#, |step| step.p50_ms),
        ] {
            let points: Vec<String> = steps
                .iter()
                .map(|step| {
                    format!(
                        "{:.1},{:.1}",
                        self.x(step.sessions as f64),
                        self.y(value(step))
                    )
                })
                .collect();
            add(
                svg,
                &format!(
                    r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>"#,
                    points.join(" ")
                ),
            );
        }
        for step in steps {
            let fill = if step.passed { colour } else { "#ffffff" };
            add(
                svg,
                &format!(
                    r#"<circle cx="{:.1}" cy="{:.1}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"><title>{} streams: p95 {:.0} ms</title></circle>"#,
                    self.x(step.sessions as f64),
                    self.y(step.p95_ms),
                    step.sessions,
                    step.p95_ms
                ),
            );
        }
        let y = TOP + 20.0 + 20.0 * idx as f64;
        add(
            svg,
            &format!(
                r##"<circle cx="{:.1}" cy="{:.1}" r="4" fill="{colour}"/><text x="{:.1}" y="{y:.1}" fill="#222222">{}</text>"##,
                LEFT + 16.0,
                y - 4.0,
                LEFT + 28.0,
                escaped(&series.label)
            ),
        );
    }
}

/// Where a value lies between two others, 0 to 1, on a logarithmic scale.
fn part(value: f64, (low, high): (f64, f64)) -> f64 {
    (value.max(low) / low).ln() / (high / low).ln()
}

/// 1, 2 and 5 times the powers of ten within a range.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    (0..6)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
        .filter(|tick| low <= *tick && *tick <= high)
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn add(svg: &mut String, element: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(svg, "{element}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sessions: usize, p50_ms: f64, p95_ms: f64, passed: bool) -> Step {
        Step {
            sessions,
            p50_ms,
            p95_ms,
            passed,
        }
    }

    #[test]
    fn more_load_is_further_right_and_more_latency_higher() {
        let series = [Series {
            label: "a".to_owned(),
            measure: String::new(),
            steps: vec![step(2, 200.0, 300.0, true), step(64, 400.0, 4000.0, false)],
        }];
        let frame = Frame::around(&series, 500.0);
        assert!(frame.x(2.0) < frame.x(64.0) && frame.x(64.0) < WIDTH - RIGHT);
        assert!(frame.y(4000.0) < frame.y(300.0) && TOP < frame.y(4000.0));
        assert!((part(10.0, (1.0, 100.0)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_picture_has_every_curve_and_the_better_of_two_tries() {
        let steps = vec![
            step(2, 200.0, 300.0, true),
            step(4, 300.0, 900.0, false),
            step(4, 300.0, 400.0, true),
        ];
        let series = [
            Series {
                label: "ours & theirs".to_owned(),
                measure: "First <sound>".to_owned(),
                steps: steps.clone(),
            },
            Series {
                label: "<other>".to_owned(),
                measure: String::new(),
                steps: Vec::new(),
            },
        ];
        let svg = draw(&series, 500.0);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.contains("ours &amp; theirs") && svg.contains("&lt;other&gt;"));
        assert!(svg.contains("4 streams: p95 400 ms") && !svg.contains("p95 900 ms"));
        assert!(svg.contains("First &lt;sound&gt;: p95 (solid)"));
        assert!(svg.contains("goal 500 ms") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn ticks_are_round_numbers_within() {
        assert_eq!(ticks((3.0, 120.0)), [5.0, 10.0, 20.0, 50.0, 100.0]);
    }
}
