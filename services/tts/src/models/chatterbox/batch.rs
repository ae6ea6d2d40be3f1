//! Rows that share calls of the language model: how they are laid out, and how they come and go.
//!
//! ```text
//!  hole mask                 left padding              right-ragged, in place
//!  a a a a . . n             . . a a a a n             a a a a n . . .      a, b: a row's own columns
//!  b b b b b b n             b b b b b b n             b b b b b b n .      n: the new column   .: masked
//! ```
//!
//! Invariants:
//! - What a row is answered does not depend on the rows beside it, nor on when they came or left.
//! - A call that failed has left no trace: the rows are as they were.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;

use ort::session::IoBinding;

use super::cache::{Cache, Room, Strip};
use super::graphs::{Graphs, Step};
use super::scheme::Scheme;
use crate::models::onnx::{Device, RunError};

/// A row of some batch, for as long as it lives.
pub(super) type RowId = u64;

/// A row that stands still is taken along for so many steps, masked, before it is put aside: to move it costs about one step.
const MAX_IDLE_STEPS: usize = 16;
/// Rows in place grow within buckets of so many columns: 5 s of speech.
const BUCKET: usize = 128;

/// Rows that are fed together.
#[derive(Debug)]
pub(super) struct Batch {
    scheme: Scheme,
    /// The rows in the cache, in order. `None` is a row that nobody has.
    members: Vec<Option<Member>>,
    cache: Option<Cache>,
    /// The cache as input and output, if it is used in place.
    binding: Option<IoBinding>,
    /// Rows with a cache of their own: new ones, and those put aside.
    aside: BTreeMap<RowId, Aside>,
}

#[derive(Debug)]
struct Member {
    id: RowId,
    /// Its own columns within its row, in order.
    columns: Vec<Range<usize>>,
    n_columns: usize,
    n_idle: usize,
}

#[derive(Debug)]
struct Aside {
    cache: Cache,
}

impl Batch {
    pub(super) fn new(scheme: Scheme) -> Batch {
        Batch {
            scheme,
            members: Vec::new(),
            cache: None,
            binding: None,
            aside: BTreeMap::new(),
        }
    }

    /// Takes in a row that has been read alone: a cache of one row, all of it its own.
    pub(super) fn join(&mut self, id: RowId, cache: Cache) {
        self.aside.insert(id, Aside { cache });
    }

    /// Forgets a row. Unknown ones are no harm.
    pub(super) fn leave(&mut self, id: RowId) {
        self.aside.remove(&id);
        for member in &mut self.members {
            if member.as_ref().is_some_and(|it| it.id == id) {
                *member = None;
            }
        }
        if self.members.iter().all(Option::is_none) {
            self.members.clear();
            self.cache = None;
            self.binding = None;
        }
    }

    /// Feeds a column to each of these rows; the others stand still. Answers the logits of each, in order.
    pub(super) fn feed(
        &mut self,
        graphs: &mut Graphs,
        fed: &[(RowId, &[f32])],
    ) -> Result<Vec<f32>, RunError> {
        let ids: Vec<RowId> = fed.iter().map(|it| it.0).collect();
        match self.scheme {
            Scheme::RightRagged => self.settle_in_place(graphs, &ids)?,
            Scheme::HoleMask | Scheme::LeftPad | Scheme::EqualLength | Scheme::Single => {
                self.settle(graphs, &ids)?;
            }
        }
        let places = self.places(&ids)?;
        let hidden = graphs.shape.hidden;
        let mut embeds = vec![0.0; self.members.len() * hidden];
        for (place, (_, embed)) in places.iter().zip(fed) {
            embeds[place * hidden..(place + 1) * hidden].copy_from_slice(embed);
        }
        let logits = match self.scheme {
            Scheme::RightRagged => self.step_in_place(graphs, &embeds)?,
            Scheme::HoleMask | Scheme::LeftPad | Scheme::EqualLength | Scheme::Single => {
                self.step(graphs, &embeds, &places)?
            }
        };
        self.note(&places);
        let n_logits = logits.len() / self.members.len();
        if places.len() == self.members.len() && places.is_sorted() {
            return Ok(logits);
        }
        let row = |place: &usize| &logits[place * n_logits..(place + 1) * n_logits];
        Ok(places.iter().flat_map(row).copied().collect())
    }

    fn places(&self, ids: &[RowId]) -> Result<Vec<usize>, RunError> {
        let place = |id: &RowId| {
            let found = self
                .members
                .iter()
                .position(|it| it.as_ref().is_some_and(|it| it.id == *id));
            found.ok_or_else(|| RunError::new("a row was fed that is not in the batch"))
        };
        ids.iter().map(place).collect()
    }

    /// The rows that were fed are a column longer.
    fn note(&mut self, places: &[usize]) {
        let width = self.cache.as_ref().map_or(0, |it| it.width);
        let in_place = self.scheme == Scheme::RightRagged;
        for (place, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else { continue };
            if !places.contains(&place) {
                member.n_idle += 1;
                continue;
            }
            member.n_idle = 0;
            let new = if in_place {
                member.n_columns
            } else {
                width - 1
            };
            member.n_columns += 1;
            match member.columns.last_mut() {
                Some(last) if last.end == new => last.end += 1,
                _ => member.columns.push(new..new + 1),
            }
        }
    }

    /// A call in which the cache grows by a column.
    fn step(
        &mut self,
        graphs: &mut Graphs,
        embeds: &[f32],
        places: &[usize],
    ) -> Result<Vec<f32>, RunError> {
        let cache = self
            .cache
            .as_ref()
            .ok_or_else(|| RunError::new("an empty batch was fed"))?;
        let width = cache.width + 1;
        let mut mask = vec![0i64; self.members.len() * width];
        let mut positions = vec![0i64; self.members.len()];
        for (row, member) in self.members.iter().enumerate() {
            let mask = &mut mask[row * width..(row + 1) * width];
            let Some(member) = member else {
                // Something has to be attended to.
                mask[width - 1] = 1;
                continue;
            };
            for columns in &member.columns {
                mask[columns.clone()].fill(1);
            }
            mask[width - 1] = i64::from(places.contains(&row));
            positions[row] = i64::try_from(member.n_columns).unwrap_or_default();
        }
        let step = Step {
            n_columns: 1,
            embeds,
            mask: &mask,
            positions: &positions,
        };
        let (logits, cache) = graphs.step(&step, cache)?;
        self.cache = Some(cache);
        Ok(logits)
    }

    /// A call in which each row grows at its own end. A row that stands still has its next column overwritten, which is not its own yet.
    fn step_in_place(&mut self, graphs: &mut Graphs, embeds: &[f32]) -> Result<Vec<f32>, RunError> {
        let (Some(cache), Some(binding)) = (&self.cache, &mut self.binding) else {
            return Err(RunError::new("an empty batch was fed"));
        };
        let mut mask = vec![0i64; self.members.len() * cache.width];
        let mut positions = vec![0i64; self.members.len()];
        for (row, member) in self.members.iter().enumerate() {
            let n_columns = member.as_ref().map_or(0, |it| it.n_columns);
            mask[row * cache.width..][..=n_columns].fill(1);
            positions[row] = i64::try_from(n_columns).unwrap_or_default();
        }
        let step = Step {
            n_columns: 1,
            embeds,
            mask: &mask,
            positions: &positions,
        };
        graphs.step_in_place(&step, binding)
    }

    /// Makes the cache hold all rows that are fed.
    fn settle(&mut self, graphs: &Graphs, fed: &[RowId]) -> Result<(), RunError> {
        let joins = fed.iter().any(|it| self.aside.contains_key(it));
        let is_fed = |it: &Member| fed.contains(&it.id);
        let n_empty = self.members.iter().filter(|it| it.is_none()).count();
        let max_idle = match self.scheme {
            Scheme::HoleMask => MAX_IDLE_STEPS,
            // A hole would shift what comes after it.
            Scheme::LeftPad | Scheme::EqualLength | Scheme::Single | Scheme::RightRagged => 0,
        };
        let stays = |it: &Member| is_fed(it) || it.n_idle < max_idle;
        let goes = self.members.iter().flatten().any(|it| !stays(it));
        // An empty row costs its share of every step; to remove it costs about one step.
        if !joins && !goes && n_empty * 4 <= self.members.len() {
            return Ok(());
        }
        let room = if self.scheme == Scheme::LeftPad {
            Room::Left
        } else {
            Room::Right
        };
        let mut kept = Vec::new();
        let mut put_aside = Vec::new();
        if let Some(cache) = &self.cache {
            for (row, member) in self.members.iter().enumerate() {
                let Some(member) = member else { continue };
                let strip = Strip {
                    cache,
                    row,
                    columns: member.columns.clone(),
                };
                if stays(member) {
                    kept.push((member.id, member.n_idle, strip));
                } else {
                    let own = graphs.cache_shape.gather(
                        std::slice::from_ref(&strip),
                        1,
                        strip.n_columns(),
                        Room::Right,
                    )?;
                    put_aside.push((member.id, own));
                }
            }
        }
        kept.extend(self.joining(fed).map(|(id, strip)| (id, 0, strip)));
        let width = kept.iter().map(|it| it.2.n_columns()).max().unwrap_or(0);
        let strips: Vec<Strip<'_>> = kept.iter().map(|it| it.2.clone()).collect();
        let cache = graphs
            .cache_shape
            .gather(&strips, strips.len(), width, room)?;
        let members = kept
            .iter()
            .map(|(id, n_idle, strip)| {
                let n_columns = strip.n_columns();
                let start = if room == Room::Left {
                    width - n_columns
                } else {
                    0
                };
                Some(Member {
                    id: *id,
                    columns: iter::once(start..start + n_columns).collect(),
                    n_columns,
                    n_idle: *n_idle,
                })
            })
            .collect();
        drop(kept);
        self.members = members;
        self.cache = Some(cache);
        self.forget_joined(fed);
        for (id, cache) in put_aside {
            self.aside.insert(id, Aside { cache });
        }
        Ok(())
    }

    /// Makes the bound cache hold all rows that are fed, and have room for their next column.
    fn settle_in_place(&mut self, graphs: &Graphs, fed: &[RowId]) -> Result<(), RunError> {
        let n_joining = self.joining(fed).count();
        let n_empty = self.members.iter().filter(|it| it.is_none()).count();
        let width = self.cache.as_ref().map_or(0, |it| it.width);
        let members = self.members.iter().flatten().map(|it| it.n_columns);
        let joining = self.joining(fed).map(|it| it.1.n_columns());
        let needed = members.chain(joining).max().unwrap_or(0) + 1;
        let too_empty = matches!(graphs.cache_shape.device, Device::Cpu)
            && self.members.len() < (n_empty - n_empty.min(n_joining)) * 4;
        if needed <= width && n_joining <= n_empty && !too_empty {
            return self.fill_in(graphs, fed);
        }
        let width = needed.next_multiple_of(BUCKET).max(width);
        let mut kept = Vec::new();
        if let Some(cache) = &self.cache {
            for (row, member) in self.members.iter().enumerate() {
                if let Some(member) = member {
                    let columns = member.columns.clone();
                    kept.push((
                        member.id,
                        member.n_idle,
                        Strip {
                            cache,
                            row,
                            columns,
                        },
                    ));
                }
            }
        }
        kept.extend(self.joining(fed).map(|(id, strip)| (id, 0, strip)));
        // New shapes are dear on a GPU, rows of padding are not.
        let n_rows = match graphs.cache_shape.device {
            Device::Cpu => kept.len(),
            Device::Cuda(_) => kept.len().next_power_of_two(),
        };
        let strips: Vec<Strip<'_>> = kept.iter().map(|it| it.2.clone()).collect();
        let mut cache = graphs
            .cache_shape
            .gather(&strips, n_rows, width, Room::Right)?;
        let binding = graphs.bind_in_place(&mut cache)?;
        let mut members: Vec<Option<Member>> = kept
            .iter()
            .map(|(id, n_idle, strip)| Some(Member::packed(*id, strip.n_columns(), *n_idle)))
            .collect();
        members.resize_with(n_rows, || None);
        drop(kept);
        self.members = members;
        self.cache = Some(cache);
        self.binding = Some(binding);
        self.forget_joined(fed);
        Ok(())
    }

    /// Puts joining rows where there are empty ones.
    fn fill_in(&mut self, graphs: &Graphs, fed: &[RowId]) -> Result<(), RunError> {
        for id in fed {
            let Some(aside) = self.aside.get(id) else {
                continue;
            };
            let row = self.members.iter().position(Option::is_none);
            let (Some(row), Some(cache)) = (row, &mut self.cache) else {
                return Err(RunError::new("there is no row to fill in"));
            };
            let strip = aside.strip();
            graphs.cache_shape.put(&strip, cache, row)?;
            self.members[row] = Some(Member::packed(*id, strip.n_columns(), 0));
            self.aside.remove(id);
        }
        Ok(())
    }

    fn joining<'a>(&'a self, fed: &'a [RowId]) -> impl Iterator<Item = (RowId, Strip<'a>)> {
        fed.iter()
            .filter_map(|id| Some((*id, self.aside.get(id)?.strip())))
    }

    fn forget_joined(&mut self, fed: &[RowId]) {
        for id in fed {
            self.aside.remove(id);
        }
    }
}

impl Member {
    /// With its columns at the left.
    fn packed(id: RowId, n_columns: usize, n_idle: usize) -> Member {
        Member {
            id,
            columns: iter::once(0..n_columns).collect(),
            n_columns,
            n_idle,
        }
    }
}

impl Aside {
    fn strip(&self) -> Strip<'_> {
        Strip {
            cache: &self.cache,
            row: 0,
            columns: iter::once(0..self.cache.width).collect(),
        }
    }
}
