//! Commands as they come from the server, carried out beside the conversation with it: quick ones in order by one thread, long
//! ones by two others, so that a machine can be isolated while evidence is collected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use guardian_protocol::message::{Action, Command, Denied, Outcome, Progress};
use tokio::sync::mpsc;

use super::Response;

/// Commands of one kind that wait.
const WAITING_MAX: usize = 32;
/// Outcomes that wait for the connection. One that does not fit is lost here, and given again when the command comes again.
const OUTCOMES_MAX: usize = 64;
/// How often it is looked after what stands.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LONG_THREADS: usize = 2;

/// Whether an action may take minutes.
pub const fn is_long(action: &Action) -> bool {
    matches!(
        action,
        Action::Script(_)
            | Action::Collect(_)
            | Action::Scan(_)
            | Action::Yara(_)
            | Action::Quarantine(_)
            | Action::Restore(_)
    )
}

struct Order {
    command: Command,
    ahead: i64,
}

/// The threads that carry commands out.
pub struct Worker {
    response: Arc<Response>,
    quick: SyncSender<Order>,
    long: SyncSender<Order>,
    tell: mpsc::Sender<Outcome>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Worker {
    /// Applies what stands, and begins. Outcomes come out of the receiver. `complain` gets what is wrong, in words, whenever
    /// that changes.
    pub fn start(
        response: Arc<Response>,
        mut complain: impl FnMut(Vec<String>) + Send + 'static,
    ) -> std::io::Result<(Self, mpsc::Receiver<Outcome>)> {
        let (quick, quick_orders) = sync_channel(WAITING_MAX);
        let (long, long_orders) = sync_channel(WAITING_MAX);
        let (tell, outcomes) = mpsc::channel(OUTCOMES_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let own = (Arc::clone(&response), tell.clone(), Arc::clone(&stop));
        let quick_thread = thread::Builder::new().name("response".into());
        threads.push(quick_thread.spawn(move || {
            let (response, tell, stop) = own;
            let mut told = response.reapply();
            complain(told.clone());
            let mut looked = Instant::now();
            while !stop.load(Ordering::Acquire) {
                match next(&quick_orders, LOOK_EVERY.saturating_sub(looked.elapsed())) {
                    Next::Order(_) if stop.load(Ordering::Acquire) => break,
                    Next::Order(order) => carry_out(&response, &order, &tell),
                    Next::Nothing => {}
                    Next::Over => break,
                }
                if looked.elapsed() >= LOOK_EVERY {
                    let complaints = response.tick();
                    // Each word to the server brings a heartbeat: it hears what is new.
                    if complaints != told {
                        complain(complaints.clone());
                        told = complaints;
                    }
                    looked = Instant::now();
                }
            }
        })?);
        let long_orders = Arc::new(Mutex::new(long_orders));
        for _ in 0..LONG_THREADS {
            let own = (Arc::clone(&response), tell.clone(), Arc::clone(&stop), Arc::clone(&long_orders));
            threads.push(thread::Builder::new().name("response-long".into()).spawn(move || {
                let (response, tell, stop, orders) = own;
                while !stop.load(Ordering::Acquire) {
                    let next = next(&orders.lock().unwrap_or_else(PoisonError::into_inner), LOOK_EVERY);
                    match next {
                        Next::Order(_) if stop.load(Ordering::Acquire) => break,
                        Next::Order(order) => carry_out(&response, &order, &tell),
                        Next::Nothing => {}
                        Next::Over => break,
                    }
                }
            })?);
        }
        Ok((Self { response, quick, long, tell, stop, threads: Mutex::new(threads) }, outcomes))
    }

    /// Takes a command. It never waits: what is too much is refused.
    pub fn submit(&self, command: Command, ahead: i64) {
        let long = command.action.as_ref().is_some_and(is_long);
        let queue = if long { &self.long } else { &self.quick };
        let id = command.id;
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Order { command, ahead }) {
            let outcome = Outcome {
                command: id,
                progress: Progress::Refused,
                denied: Denied::Busy,
                text: "too many commands wait already".to_owned(),
                ..Outcome::default()
            };
            // The server asks again where it hears nothing.
            self.tell.try_send(outcome).ok();
        }
    }

    /// Stops a command that runs.
    pub fn cancel(&self, id: &[u8; 16]) -> bool {
        self.response.cancel(id)
    }

    /// What carries them out.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Ends: what runs is stopped, what waits is left.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.response.cancel_all();
        // Who waits for orders hears of nothing else: it gets one that does nothing.
        let wake = || Order { command: Command::default(), ahead: 0 };
        self.quick.try_send(wake()).ok();
        (0..LONG_THREADS).for_each(|_| drop(self.long.try_send(wake())));
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that panicked has ended as well.
            thread.join().ok();
        }
    }
}

enum Next {
    Order(Order),
    Nothing,
    Over,
}

fn next(orders: &Receiver<Order>, time: Duration) -> Next {
    match orders.recv_timeout(time) {
        Ok(order) => Next::Order(order),
        Err(RecvTimeoutError::Timeout) => Next::Nothing,
        Err(RecvTimeoutError::Disconnected) => Next::Over,
    }
}

fn carry_out(response: &Response, order: &Order, tell: &mpsc::Sender<Outcome>) {
    let mut tell = |outcome| {
        // Where the connection does not take them, the last one is noted and is given when the command comes again.
        tell.try_send(outcome).ok();
    };
    response.execute(&order.command, order.ahead, &mut tell);
    guardian_sys::process::give_back_memory();
}
