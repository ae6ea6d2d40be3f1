//! What a scripted model waits for, so that the script decides how calls fall between other events.

use std::sync::{Arc, Condvar, Mutex};

/// How many calls may run; `None` for any number.
#[derive(Default)]
pub(crate) struct Permits {
    left: Mutex<Option<usize>>,
    more: Condvar,
}

impl Permits {
    pub(crate) fn take(&self) {
        let left = self.left.lock().unwrap();
        let mut left = self.more.wait_while(left, |left| *left == Some(0)).unwrap();
        if let Some(left) = left.as_mut() {
            *left -= 1;
        }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Option<usize>)) {
        change(&mut self.left.lock().unwrap());
        self.more.notify_all();
    }

    /// Permits without end when it is dropped: a case that has failed must not leave a worker waiting for one, for it is waited for.
    pub(crate) fn unlimited_at_last(self: &Arc<Self>) -> AtLast {
        AtLast(Arc::clone(self))
    }
}

pub(crate) struct AtLast(Arc<Permits>);

impl Drop for AtLast {
    fn drop(&mut self) {
        self.0.change(|left| *left = None);
    }
}
