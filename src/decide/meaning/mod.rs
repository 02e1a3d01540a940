//! What the facts mean: read once, for what decides and for what settles. It knows neither.

pub(super) mod end;
pub(super) mod hold;
pub(super) mod remote;
pub(super) mod runs;
pub(super) mod sendable;
pub(super) mod sharing;
pub(super) mod standing;
pub(super) mod submission;
