//! Which rows of a stepping batch are held, stepped and left. Pure.

use std::num::NonZeroUsize;

/// A row of a stepping batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(usize);

impl Slot {
    /// For calling a model outside a worker, as its tests do.
    #[must_use]
    pub fn new(index: usize) -> Slot {
        Slot(index)
    }

    /// From 0 to one less than the number of slots.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Who reads what is made in a slot.
pub(crate) trait Reader {
    /// Whether nobody reads any more.
    fn is_gone(&self) -> bool;
    /// Whether one more chunk can be taken.
    fn has_room(&self) -> bool;
}

/// Who holds which slot.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    rows: Box<[Option<T>]>,
}

impl<T: Reader> Slots<T> {
    pub(crate) fn new(n_slots: NonZeroUsize) -> Slots<T> {
        Slots {
            rows: (0..n_slots.get()).map(|_| None).collect(),
        }
    }

    /// The slot for whoever comes next: the lowest, so that the held ones lie close together.
    pub(crate) fn free(&self) -> Option<Slot> {
        self.rows.iter().position(Option::is_none).map(Slot)
    }

    /// Gives a slot that is free away.
    pub(crate) fn fill(&mut self, slot: Slot, holder: T) {
        debug_assert!(self.rows[slot.0].is_none(), "{slot:?} is held");
        self.rows[slot.0] = Some(holder);
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        self.rows[slot.0].as_ref()
    }

    /// Frees a slot. `None` if it was free.
    pub(crate) fn take(&mut self, slot: Slot) -> Option<T> {
        self.rows[slot.0].take()
    }

    /// Held by those whose reader has gone.
    pub(crate) fn abandoned(&self) -> Vec<Slot> {
        self.held_by(Reader::is_gone)
    }

    /// Those that the next step goes further in. A slot whose reader is behind stands still and delays
    /// nobody.
    pub(crate) fn runnable(&self) -> Vec<Slot> {
        self.held_by(|it| !it.is_gone() && it.has_room())
    }

    pub(crate) fn held(&self) -> Vec<Slot> {
        self.held_by(|_| true)
    }

    fn held_by(&self, wanted: impl Fn(&T) -> bool) -> Vec<Slot> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| row.as_ref().is_some_and(&wanted))
            .map(|(index, _)| Slot(index))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drawn as a letter: small if its reader has room, capital if not, `x` if its reader has gone,
    /// `X` if it left without having had room.
    impl Reader for char {
        fn is_gone(&self) -> bool {
            self.eq_ignore_ascii_case(&'x')
        }

        fn has_room(&self) -> bool {
            self.is_ascii_lowercase()
        }
    }

    /// One character a slot; a dot is a free one.
    fn drawn(picture: &str) -> Slots<char> {
        let mut slots = Slots::new(NonZeroUsize::new(picture.len()).unwrap());
        for (index, holder) in picture.chars().enumerate() {
            if holder != '.' {
                slots.fill(Slot(index), holder);
            }
        }
        slots
    }

    fn picture(slots: &Slots<char>, of: &[Slot]) -> String {
        let row = |index| match slots.get(Slot(index)) {
            Some(holder) if of.contains(&Slot(index)) => *holder,
            _ => '.',
        };
        (0..slots.rows.len()).map(row).collect()
    }

    #[track_caller]
    fn check(now: &str, runnable: &str, abandoned: &str, free: Option<usize>) {
        let slots = drawn(now);
        assert_eq!(picture(&slots, &slots.runnable()), runnable, "is stepped");
        assert_eq!(picture(&slots, &slots.abandoned()), abandoned, "is left");
        assert_eq!(slots.free().map(Slot::index), free, "is given away next");
    }

    #[test]
    fn nobody_is_there() {
        check("....", "....", "....", Some(0));
    }

    #[test]
    fn all_that_can_are_stepped_together() {
        check("abcd", "abcd", "....", None);
    }

    #[test]
    fn who_reads_too_slowly_stands_still_alone() {
        check("aBcD", "a.c.", "....", None);
    }

    #[test]
    fn who_has_gone_is_left_and_not_stepped() {
        check("axXd", "a..d", ".xX.", None);
    }

    #[test]
    fn the_lowest_free_slot_is_given_away() {
        check("ab.d", "ab.d", "....", Some(2));
        check("A..x", "....", "...x", Some(1));
    }

    #[test]
    fn a_slot_is_free_again_once_taken() {
        let mut slots = drawn("aXc");
        assert_eq!(slots.take(Slot(1)), Some('X'));
        assert_eq!(slots.take(Slot(1)), None);
        assert_eq!(slots.free(), Some(Slot(1)));
        slots.fill(Slot(1), 'e');
        assert_eq!(picture(&slots, &slots.held()), "aec");
    }

    proptest::proptest! {
        #[test]
        fn every_slot_is_in_one_state(picture in "[.abABxX]{1,12}") {
            let slots = drawn(&picture);
            for (index, holder) in picture.chars().enumerate() {
                let slot = Slot(index);
                let states = [
                    slots.runnable().contains(&slot),
                    slots.abandoned().contains(&slot),
                    slots.get(slot).is_none(),
                    holder == 'A' || holder == 'B',
                ];
                proptest::prop_assert_eq!(states.iter().filter(|&&it| it).count(), 1);
            }
        }
    }
}
