//! What a scripted model waits for, so that the script decides how calls fall between other events.

use std::sync::{Condvar, Mutex};

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
}
