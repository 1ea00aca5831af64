//! The tasks that serve streams, used again and again.
//!
//! An exchange is a future of several kilobytes and has a timer. Making both anew for each stream, moving the future into
//! its task and taking it apart again cost 5 % of a request's CPU; a task that takes its next stream from a mailbox costs
//! one wake-up.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::{Stream, serve_stream};
use crate::deadlines::TimerGuard;
use crate::listen::PanicNote;

/// How many tasks of a thread wait for a next stream.
const IDLE_MAX: usize = 64;

/// The tasks of one thread that wait for a stream.
#[derive(Default)]
pub struct StreamTasks {
    idle: RefCell<Vec<Rc<Mailbox>>>,
}

#[derive(Default)]
struct Mailbox {
    stream: RefCell<Option<Stream>>,
    task: RefCell<Option<Waker>>,
}

impl StreamTasks {
    /// Has the stream served by a task of this thread.
    pub(super) fn serve(&self, stream: Stream) {
        if let Some(mailbox) = self.idle.borrow_mut().pop() {
            *mailbox.stream.borrow_mut() = Some(stream);
            if let Some(task) = &*mailbox.task.borrow() {
                task.wake_by_ref();
            }
            return;
        }
        let timer = stream.client.worker.timers.register();
        let mailbox = Rc::new(Mailbox { stream: RefCell::new(Some(stream)), task: RefCell::default() });
        tokio::task::spawn_local(serve_all(mailbox, timer));
    }

    fn take_back(&self, mailbox: &Rc<Mailbox>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let has_room = idle.len() < IDLE_MAX;
        if has_room {
            idle.push(Rc::clone(mailbox));
        }
        has_room
    }
}

/// One task: serves a stream, waits for the next. A panic costs the stream and this task.
async fn serve_all(mailbox: Rc<Mailbox>, timer: TimerGuard) {
    loop {
        let stream = poll_fn(|cx| {
            if let Some(stream) = mailbox.stream.borrow_mut().take() {
                return Poll::Ready(stream);
            }
            let mut task = mailbox.task.borrow_mut();
            if !task.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
        let note = PanicNote(Rc::clone(&stream.client.worker));
        serve_stream(stream, &timer).await;
        if !note.0.stream_tasks.take_back(&mailbox) {
            return;
        }
    }
}
