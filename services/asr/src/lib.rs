//! Speech in, text out.
