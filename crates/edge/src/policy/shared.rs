//! The policy in effect, swapped while requests run.
//!
//! A request takes the policy once and keeps it to its event. So the last holder of an old policy might be a request, and
//! freeing a thousand zones would be its delay; therefore the old ones are kept by a thread of their own until nobody else
//! has them, and freed there.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

/// How often old policies are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The policy in effect, or what is swapped together with it.
pub struct Shared<T> {
    current: ArcSwap<T>,
    old: Sender<Arc<T>>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Puts the first policy into effect.
    pub fn new(policy: Arc<T>) -> std::io::Result<Self> {
        let (old, received) = mpsc::channel::<Arc<T>>();
        thread::Builder::new().name("old-policies".to_owned()).spawn(move || {
            super::compile::lower_priority();
            let mut kept: Vec<Arc<T>> = Vec::new();
            let mut freed = false;
            loop {
                let next = if kept.is_empty() && !freed {
                    received.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    received.recv_timeout(SWEEP)
                };
                match next {
                    Ok(policy) => kept.push(policy),
                    Err(RecvTimeoutError::Timeout) if freed => {
                        give_memory_back();
                        freed = false;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                let before = kept.len();
                // Nobody can take one again that only this thread has.
                kept.retain(|policy| Arc::strong_count(policy) > 1);
                freed |= kept.len() < before;
            }
        })?;
        Ok(Self { current: ArcSwap::new(policy), old })
    }

    /// The policy in effect, for a short look.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The policy in effect, to keep.
    pub fn get(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Puts a policy into effect for every request from now on.
    pub fn swap(&self, policy: Arc<T>) {
        let old = self.current.swap(policy);
        // Only if the thread is gone does the old one end here.
        let _ = self.old.send(old);
    }
}

/// Gives what was freed back to the system: the allocator would keep the memory of every policy that ever was. Called
/// when no policy has come for a while, since it holds the allocator's locks for some milliseconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe name for it")]
fn give_memory_back() {
    // SAFETY: malloc_trim(3) may be called at any time from any thread and touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_memory_back() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::policy;

    #[test]
    fn a_request_keeps_its_policy_over_a_swap_and_an_old_one_is_freed_at_last() {
        let first = policy(1);
        let weak = Arc::downgrade(&first);
        let shared = Shared::new(first).unwrap();
        let held = shared.get();
        shared.swap(policy(2));
        assert_eq!((held.version(), shared.load().version()), (1, 2));
        drop(held);
        while weak.strong_count() > 0 {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(shared.get().version(), 2);
    }
}
