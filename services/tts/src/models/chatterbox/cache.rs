//! What the language model remembers: keys and values of every row, in tensors that belong to ONNX Runtime.
//!
//! Invariants:
//! - A row moves as a whole; what it holds does not change when it moves.
//! - Copies are made when rows join or leave, never at a step.

use std::ops::Range;

use half::f16;
use ort::memory::{AllocationDevice, Allocator};
use ort::value::{DynTensor, PrimitiveTensorElementType};

use crate::models::onnx::{Device, Float};

/// The part of the shape that all caches of a model share.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheShape {
    /// Keys and values of each layer.
    pub(super) n_tensors: usize,
    pub(super) n_heads: usize,
    pub(super) head_dim: usize,
    pub(super) float: Float,
    pub(super) device: Device,
}

/// Keys and values of some rows: tensors of `[n_rows, n_heads, width, head_dim]`.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) tensors: Vec<DynTensor>,
    pub(super) n_rows: usize,
    pub(super) width: usize,
}

/// What one row holds: columns of a row of a cache, in order.
#[derive(Clone, Debug)]
pub(super) struct Strip<'a> {
    pub(super) cache: &'a Cache,
    pub(super) row: usize,
    pub(super) columns: Vec<Range<usize>>,
}

impl Strip<'_> {
    pub(super) fn n_columns(&self) -> usize {
        self.columns.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Where the free columns of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Right,
    Left,
}

/// Where a strip goes.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: usize,
    width: usize,
    room: Room,
}

impl CacheShape {
    /// A cache of rows that are nothing but room.
    pub(super) fn empty(&self, n_rows: usize, width: usize) -> ort::Result<Cache> {
        let shape = [n_rows, self.n_heads, width, self.head_dim];
        let tensors = (0..self.n_tensors)
            .map(|_| {
                let tensor = DynTensor::new(&Allocator::default(), self.float.element(), shape)?;
                self.device.take(tensor)
            })
            .collect::<ort::Result<_>>()?;
        Ok(Cache {
            tensors,
            n_rows,
            width,
        })
    }

    /// A new cache of the strips, and of rows of room after them.
    pub(super) fn gather(
        &self,
        strips: &[Strip<'_>],
        n_rows: usize,
        width: usize,
        room: Room,
    ) -> ort::Result<Cache> {
        let shape = [n_rows, self.n_heads, width, self.head_dim];
        let mut tensors = Vec::with_capacity(self.n_tensors);
        for idx in 0..self.n_tensors {
            let mut tensor = DynTensor::new(&Allocator::default(), self.float.element(), shape)?;
            for (row, strip) in strips.iter().enumerate() {
                self.copy(strip, idx, &mut tensor, Place { row, width, room })?;
            }
            tensors.push(self.device.take(tensor)?);
        }
        Ok(Cache {
            tensors,
            n_rows,
            width,
        })
    }

    /// Puts a strip at the left of a row of a cache.
    pub(super) fn put(&self, strip: &Strip<'_>, cache: &mut Cache, row: usize) -> ort::Result<()> {
        let place = Place {
            row,
            width: cache.width,
            room: Room::Right,
        };
        for (idx, tensor) in cache.tensors.iter_mut().enumerate() {
            match self.device {
                Device::Cpu => self.copy(strip, idx, tensor, place)?,
                Device::Cuda(_) => {
                    let mut host = tensor.to(AllocationDevice::CPU, 0)?;
                    self.copy(strip, idx, &mut host, place)?;
                    host.copy_into(&mut *tensor)?;
                }
            }
        }
        Ok(())
    }

    fn copy(
        &self,
        strip: &Strip<'_>,
        idx: usize,
        target: &mut DynTensor,
        place: Place,
    ) -> ort::Result<()> {
        let tensor = &strip.cache.tensors[idx];
        let host;
        let source = match self.device {
            Device::Cpu => tensor,
            Device::Cuda(_) => {
                host = tensor.to(AllocationDevice::CPU, 0)?;
                &host
            }
        };
        match self.float {
            Float::F32 => self.copy_as::<f32>(strip, source, target, place),
            Float::F16 => self.copy_as::<f16>(strip, source, target, place),
        }
    }

    fn copy_as<T: PrimitiveTensorElementType + Copy>(
        &self,
        strip: &Strip<'_>,
        source: &DynTensor,
        target: &mut DynTensor,
        place: Place,
    ) -> ort::Result<()> {
        let (_, source) = source.try_extract_tensor::<T>()?;
        let (_, target) = target.try_extract_tensor_mut::<T>()?;
        let dim = self.head_dim;
        let start = match place.room {
            Room::Right => 0,
            Room::Left => place.width - strip.n_columns(),
        };
        for head in 0..self.n_heads {
            let from = (strip.row * self.n_heads + head) * strip.cache.width;
            let mut to = (place.row * self.n_heads + head) * place.width + start;
            for columns in &strip.columns {
                let columns = from + columns.start..from + columns.end;
                let n_columns = columns.len();
                target[to * dim..(to + n_columns) * dim]
                    .copy_from_slice(&source[columns.start * dim..columns.end * dim]);
                to += n_columns;
            }
        }
        Ok(())
    }
}
