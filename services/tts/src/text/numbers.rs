//! Numbers in words, language by language.

pub(super) mod english;
