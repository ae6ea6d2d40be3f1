//! Rounding on the way out, so that a time reads 0.52 and not 0.5199999809265137.

use serde::Serializer;

fn to(places: i32, value: f64) -> f64 {
    let scale = 10_f64.powi(places);
    let rounded = (value * scale).round() / scale;
    // JSON has no NaN and no infinity, and minus zero is only confusing.
    if rounded.is_finite() {
        rounded + 0.0
    } else {
        0.0
    }
}

/// To a millisecond.
///
/// # Errors
/// The serialiser's own.
pub fn seconds<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(to(3, *value))
}

/// To four places.
///
/// # Errors
/// The serialiser's own.
pub fn probability<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(to(4, f64::from(*value)))
}

/// To four places, or null.
///
/// # Errors
/// The serialiser's own.
pub fn probability_if_any<S: Serializer>(
    value: &Option<f32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => probability(value, serializer),
        None => serializer.serialize_none(),
    }
}
