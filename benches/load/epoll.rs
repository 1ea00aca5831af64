//! Readiness of sockets by epoll(7), as far as the origin and the client of the benches need it.
//!
//! The standard library has none, and a bench that shares its event loop with the proxy it measures would measure one
//! library against itself, so this stands on the system alone.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

pub const READABLE: u32 = 0x001;
pub const WRITABLE: u32 = 0x004;

const ADD: i32 = 1;
const MODIFY: i32 = 3;
const SET_TIMER_SLACK: i32 = 29;

/// `struct epoll_event`, which the kernel packs on x86-64 only.
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct Event {
    events: u32,
    key: u64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(epoll: i32, operation: i32, descriptor: i32, event: *mut Event) -> i32;
    fn epoll_pwait2(epoll: i32, events: *mut Event, room: i32, timeout: *const Timespec, mask: *const u64) -> i32;
    fn prctl(option: i32, argument: u64, ...) -> i32;
}

/// Wakes this thread when a timeout ends and not up to 50 us later, which would count as latency of what is measured.
pub fn wake_in_time() {
    // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory.
    unsafe { prctl(SET_TIMER_SLACK, 1u64) };
}

pub struct Epoll {
    descriptor: File,
    events: Vec<Event>,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is fresh and owned by the `File` alone.
        let descriptor = unsafe {
            let descriptor = checked(epoll_create1(0))?;
            File::from_raw_fd(descriptor)
        };
        Ok(Self { descriptor, events: vec![Event { events: 0, key: 0 }; 1024] })
    }

    /// Reports `socket` under `key` from now on, level-triggered. It ends when the socket is closed.
    pub fn add(&self, socket: &impl AsRawFd, key: usize, interest: u32) -> io::Result<()> {
        self.control(ADD, socket, key, interest)
    }

    pub fn modify(&self, socket: &impl AsRawFd, key: usize, interest: u32) -> io::Result<()> {
        self.control(MODIFY, socket, key, interest)
    }

    /// The keys that are ready, after at most `timeout`; none means for ever.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout =
            timeout.map(|t| Timespec { seconds: t.as_secs() as i64, nanoseconds: i64::from(t.subsec_nanos()) });
        let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let room = self.events.len() as i32;
        // SAFETY: the kernel writes at most `room` events into `events`, and `timeout` outlives the call.
        let found = unsafe {
            epoll_pwait2(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), room, pointer, std::ptr::null())
        };
        ready.clear();
        match checked(found) {
            Ok(count) => ready.extend(self.events[..count as usize].iter().map(|event| event.key as usize)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn control(&self, operation: i32, socket: &impl AsRawFd, key: usize, interest: u32) -> io::Result<()> {
        let mut event = Event { events: interest, key: key as u64 };
        // SAFETY: `event` lives through the call and the kernel copies it.
        checked(unsafe { epoll_ctl(self.descriptor.as_raw_fd(), operation, socket.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
