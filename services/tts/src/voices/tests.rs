mod basics;
mod failing;
mod packs;
mod rig;
mod sharing;
pub(super) mod sounds;
