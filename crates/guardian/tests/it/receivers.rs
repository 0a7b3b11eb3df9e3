//! Those who are told: a mail server (aiosmtpd, in a virtual environment that `cargo xtask test` makes) and a receiver
//! of webhooks. Both are real programs at the other end of a socket.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::app::PATIENCE;

/// What came in, in order; whoever waits is woken.
pub(crate) struct Inbox<T> {
    inner: Arc<(Mutex<Vec<T>>, Condvar)>,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Clone> Inbox<T> {
    fn new() -> Self {
        Self { inner: Arc::new((Mutex::new(Vec::new()), Condvar::new())) }
    }

    fn put(&self, item: T) -> usize {
        let mut items = self.inner.0.lock().unwrap();
        items.push(item);
        self.inner.1.notify_all();
        items.len()
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<T> {
        self.inner.0.lock().unwrap().clone()
    }

    /// Waits for one that `wanted` takes.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&T) -> bool) -> T {
        let begun = Instant::now();
        let mut items = self.inner.0.lock().unwrap();
        loop {
            if let Some(found) = items.iter().find(|item| wanted(item)) {
                return found.clone();
            }
            let left = PATIENCE.checked_sub(begun.elapsed()).unwrap_or_else(|| panic!("waited in vain: {what}"));
            items = self.inner.1.wait_timeout(items, left).unwrap().0;
        }
    }
}

/// A mail server.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    pub(crate) mails: Inbox<Value>,
    child: Child,
    // It ends when this closes.
    _stdin: ChildStdin,
}

fn python() -> PathBuf {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-peers/bin/python");
    let python = std::env::var_os("GUARDIAN_TEST_PYTHON").map_or_else(|| PathBuf::from(usual), PathBuf::from);
    assert!(
        python.exists(),
        "there is no mail server to test against: `cargo xtask test` installs one, or by hand: \
         python3 -m venv target/test-peers && target/test-peers/bin/pip install aiosmtpd"
    );
    python
}

impl MailServer {
    /// Starts one on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/smtp_server.py");
        let mut child = Command::new(python())
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().expect("the mail server tells its port").unwrap().parse().unwrap();
        let mails = Inbox::new();
        let told = mails.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.put(serde_json::from_str(&line).unwrap());
            }
        });
        Self { port, mails, child, _stdin: stdin }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A request that a webhook made.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) body: Value,
}

/// A receiver of webhooks.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) hooks: Inbox<Hook>,
}

impl Receiver {
    /// On a free port; the first answers are those of `script`, then 200.
    pub(crate) fn start(script: &'static [u16]) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// On this port.
    pub(crate) fn at(address: SocketAddr, script: &'static [u16]) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let hooks = Inbox::new();
        let told = hooks.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let take = move |headers: HeaderMap, bytes: Bytes| {
                    let told = told.clone();
                    async move {
                        let body = serde_json::from_slice(&bytes).unwrap();
                        let count = told.put(Hook { headers, bytes, body });
                        let status = script.get(count - 1).copied().unwrap_or(200);
                        (StatusCode::from_u16(status).unwrap(), "thank you")
                    }
                };
                let app = axum::Router::new().fallback(take);
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
            });
        });
        Self { address, hooks }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/guardian?token=t", self.address)
    }
}
