//! The conversation with the server: batches out of the spool, acknowledgements, heartbeats, the next certificate. After
//! each end it begins again, at a random instant of a time that doubles.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_protocol::message::{Certificate, Goodbye, Heartbeat, Hello, Lane, Refusal, Refuse, Renew, Welcome};
use guardian_protocol::{Blob, Frames, FromAgent, FromServer, VERSION_MAX, VERSION_MIN, limits};
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::commands::Commands;
use crate::connect::connect;
use crate::facts::Facts;
use crate::held::Holding;
use crate::home::{Home, Identity};
use crate::inventory::Telling;
use crate::policy::Policies;
use crate::queries::questions::Questions;
use crate::spool::{Cursor, SpoolError};
use crate::spooler::Shared;
use crate::status::Status;
use crate::tls::{self, TlsError};
use crate::upgrade::Upgrader;

/// First and longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause after the server said that this host is shut out.
const PAUSE_REVOKED: Duration = Duration::from_secs(600);
/// Longest handshake, greeting and sending of one frame.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is written down how the agent is while it has no connection.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Heartbeats without an answer after which the connection is given up.
const SILENT_BEATS: u32 = 3;
/// Messages of the server that may wait to be looked at.
const WAITING_MAX: usize = 64;
/// A clock that differs by more is complained of, in microseconds.
const SKEW_MAX: i64 = 5_000_000;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the server does not speak the protocol: {0}")]
    Wire(#[from] guardian_protocol::WireError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the spool fails: {0}")]
    Spool(#[from] SpoolError),
    #[error("the server says: {}", .0.text)]
    Refused(Refuse),
    #[error("the agent stops")]
    Stopped,
}

/// A connection on which frames travel.
pub(crate) struct Link {
    writer: WriteHalf<TlsStream<TcpStream>>,
    incoming: mpsc::Receiver<Result<FromServer, Ended>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Link {
    /// Connects and shows the certificate.
    pub(crate) async fn open(identity: &Identity) -> Result<Self, Ended> {
        let config = Arc::new(tls::session(identity)?);
        let stream = connect(&identity.server, identity.proxy.as_deref()).await?;
        let shaking = TlsConnector::from(config).connect(tls::server_name(), stream);
        let stream = timeout(PATIENCE, shaking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (read, writer) = tokio::io::split(stream);
        let (tell, incoming) = mpsc::channel(WAITING_MAX);
        // On its own, so that acknowledgements are taken while a large batch is being sent.
        let reader = tokio::spawn(listen(read, tell));
        Ok(Self { writer, incoming, reader })
    }

    pub(crate) async fn send(&mut self, message: &FromAgent) -> Result<(), Ended> {
        let mut frame = Vec::new();
        message.put(&mut frame)?;
        self.send_frame(&frame).await
    }

    pub(crate) async fn send_frame(&mut self, frame: &[u8]) -> Result<(), Ended> {
        let sending = async {
            self.writer.write_all(frame).await?;
            self.writer.flush().await
        };
        timeout(PATIENCE, sending).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }

    /// The next message. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<FromServer, Ended> {
        match self.incoming.recv().await {
            Some(Ok(FromServer::Refuse(refuse))) => Err(Ended::Refused(refuse)),
            Some(message) => message,
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Says what it is, and hears what the server wants.
    pub(crate) async fn greet(&mut self, hello: Hello) -> Result<Welcome, Ended> {
        self.send(&FromAgent::Hello(hello)).await?;
        match timeout(PATIENCE, self.next()).await {
            Ok(Ok(FromServer::Welcome(welcome))) => Ok(welcome),
            Ok(Ok(_)) => Err(io::Error::other("the first answer is no greeting").into()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

async fn listen(mut read: ReadHalf<TlsStream<TcpStream>>, tell: mpsc::Sender<Result<FromServer, Ended>>) {
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    let mut buffer = vec![0; 16 << 10];
    loop {
        loop {
            let message = match frames.next() {
                Ok(None) => break,
                Ok(Some(frame)) => frame.from_server(),
                Err(error) => Err(error),
            };
            let ended = message.is_err();
            let told = match message {
                Ok(None) => continue,
                Ok(Some(message)) => tell.send(Ok(message)).await,
                Err(error) => tell.send(Err(error.into())).await,
            };
            if ended || told.is_err() {
                return;
            }
        }
        frames.shrink();
        match read.read(&mut buffer).await {
            Ok(0) => return,
            Ok(count) => frames.push(&buffer[..count]),
            Err(error) => {
                // Nobody hears it who is not there any more.
                tell.send(Err(error.into())).await.ok();
                return;
            }
        }
    }
}

/// Waits until the agent is to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    stop.wait_for(|stop| *stop).await.ok();
}

/// Speaks with the server until `stop` says so.
pub(crate) struct Talk {
    pub(crate) home: Home,
    pub(crate) identity: Identity,
    pub(crate) shared: Arc<Shared>,
    pub(crate) facts: Facts,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) status: Status,
    pub(crate) policies: Arc<Policies>,
    pub(crate) commands: Commands,
    pub(crate) questions: Questions,
    /// How often the policy wants a heartbeat; none where the server's greeting says.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) inventory: Telling,
    pub(crate) holding: Holding,
    pub(crate) upgrader: Upgrader,
}

impl Talk {
    pub(crate) async fn run(mut self) {
        let mut pause = PAUSE;
        // What an agent before this one said there is not so any more.
        self.tell("waiting", None);
        loop {
            let ended = match self.converse().await {
                Ok(never) => match never {},
                Err(ended) => ended,
            };
            if self.status.state == "connected" {
                pause = PAUSE;
            }
            if matches!(ended, Ended::Stopped) {
                self.tell("waiting", None);
                return;
            }
            let text = ended.to_string();
            let refused = matches!(ended, Ended::Refused(_));
            let (least, most) = match &ended {
                Ended::Refused(refuse) if refuse.reason == Refusal::Revoked => (PAUSE_REVOKED, PAUSE_REVOKED),
                Ended::Refused(refuse) => (Duration::from_millis(u64::from(refuse.retry_ms)).min(PAUSE_MAX), pause),
                _ => (Duration::ZERO, pause),
            };
            pause = (pause * 2).min(PAUSE_MAX);
            crate::run::say(&text);
            self.tell(if refused { "refused" } else { "waiting" }, Some(text));
            let wait = least + most.mul_f64(rand::rng().random_range(0.1..1.0));
            if !self.rest(Instant::now() + wait).await {
                self.tell("waiting", None);
                return;
            }
        }
    }

    /// Waits, and says meanwhile how the agent is; false where it is to stop.
    async fn rest(&mut self, until: Instant) -> bool {
        let (state, error, mut stop) = (self.status.state.clone(), self.status.error.clone(), self.stop.clone());
        while Instant::now() < until {
            tokio::select! {
                () = sleep_until(until.min(Instant::now() + TELL_EVERY)) => self.tell(&state, error.clone()),
                () = stopped(&mut stop) => return false,
            }
        }
        true
    }

    fn tell(&mut self, state: &str, error: Option<String>) {
        let now = crate::now();
        if self.status.state != state {
            state.clone_into(&mut self.status.state);
            self.status.since = now;
        }
        self.status.error = error;
        self.status.updated = now;
        self.status.rows = self.shared.rows.load(Ordering::Relaxed);
        self.status.not_after.clone_from(&self.identity.not_after);
        (self.status.files_open, self.status.files_open_since) = self.commands.open_changes();
        self.policies.way("processes").unwrap_or("none").clone_into(&mut self.status.processes);
        let status = &mut self.status;
        self.shared.with(|spool| {
            let lane = spool.lane();
            status.spool_bytes = lane.bytes();
            status.sequences = (lane.last(), lane.first() - 1);
            status.lost = spool.lost().iter().map(|l| l.rows).sum();
        });
        // The disk may be full; the agent goes on.
        self.home.tell(&self.status).ok();
    }

    fn hello(&self) -> Hello {
        let (epoch, lane) = self.shared.with(|spool| {
            let lane = spool.lane();
            let waiting = Lane { lane: 0, first: lane.first(), batches: lane.batches(), bytes: lane.bytes() };
            (spool.epoch(), waiting)
        });
        Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            program: crate::upgrade::version().into(),
            platform: Facts::platform(),
            system: self.facts.system.clone(),
            kernel: self.facts.kernel.clone(),
            architecture: self.facts.architecture.clone(),
            hostname: self.facts.name.clone(),
            boot: self.facts.boot,
            epoch,
            lanes: vec![lane],
            time: crate::now(),
            abilities: ["health", "query"].map(str::to_owned).into_iter().chain(self.commands.abilities()).collect(),
            policy: Some(self.policies.state()),
        }
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut stop = self.stop.clone();
        let opening = async {
            let mut link = Link::open(&self.identity).await?;
            let welcome = link.greet(self.hello()).await?;
            Ok::<_, Ended>((link, welcome))
        };
        let (mut link, welcome) = tokio::select! {
            opened = opening => opened?,
            () = stopped(&mut stop) => return Err(Ended::Stopped),
        };
        let mark = welcome.marks.iter().find(|ack| ack.lane == 0).map_or(0, |ack| ack.sequence);
        let first = self.shared.with(|spool| {
            spool.acknowledge(mark);
            spool.lane().first()
        });
        self.inventory.begin();
        self.holding.begin();
        self.upgrader.begin();
        crate::run::say("connected");
        self.tell("connected", None);
        let mut conversation = Conversation {
            cursor: Cursor::after(first - 1),
            acknowledged: first - 1,
            in_flight: VecDeque::new(),
            window: welcome.window.clamp(1, 64) as usize,
            beat: 0,
            beat_sent: Instant::now(),
            next_key: None,
        };
        if welcome.renewal_wanted {
            conversation.renew(&mut link).await?;
        }
        let usual = Duration::from_millis(u64::from(welcome.heartbeat_ms.clamp(100, 3_600_000)));
        let (mut beat_at, mut heard) = (Instant::now(), Instant::now());
        let policies = Arc::clone(&self.policies);
        loop {
            let shared = Arc::clone(&self.shared);
            let every = self.heartbeat.unwrap_or(usual);
            tokio::select! {
                biased;
                message = link.next() => {
                    heard = Instant::now();
                    self.hear(message?, &mut conversation, &mut link).await?;
                }
                // Each heartbeat is answered. Where the network swallows everything nothing else tells that nobody is there.
                () = sleep_until(heard + (every * SILENT_BEATS).max(PATIENCE)) => {
                    return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                }
                () = sleep_until(beat_at) => {
                    beat_at = Instant::now() + every;
                    conversation.beat(&mut link, self).await?;
                    self.tell("connected", None);
                }
                outcome = self.commands.next() => link.send(&FromAgent::Outcome(outcome)).await?,
                // The server hears at once what became of a policy.
                () = policies.applied.notified() => beat_at = Instant::now(),
                frame = conversation.next_frame(&shared) => link.send_frame(&frame?).await?,
                part = self.inventory.next() => link.send(&part).await?,
                part = self.holding.next() => link.send(&part).await?,
                word = self.upgrader.next() => link.send(&word).await?,
                part = self.questions.next() => link.send(&FromAgent::Answer(part)).await?,
                () = stopped(&mut stop) => {
                    self.questions.cancel_all();
                    self.leave(&mut conversation, &mut link).await;
                    return Err(Ended::Stopped);
                }
            }
        }
    }

    /// Sends what the sources said last, and waits a little for it to be safe.
    async fn leave(&mut self, conversation: &mut Conversation, link: &mut Link) {
        let draining = async {
            loop {
                let last = self.shared.with(|spool| spool.lane().last());
                let done = self.shared.stop.load(Ordering::Acquire) && conversation.acknowledged >= last;
                if done {
                    break;
                }
                let shared = Arc::clone(&self.shared);
                tokio::select! {
                    biased;
                    message = link.next() => self.hear(message?, conversation, link).await?,
                    // What was stopped says how far it came.
                    outcome = self.commands.next() => link.send(&FromAgent::Outcome(outcome)).await?,
                    frame = conversation.next_frame(&shared) => link.send_frame(&frame?).await?,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
            link.send(&FromAgent::Goodbye(Goodbye { text: "the agent stops".into() })).await
        };
        // What is not safe by then waits on the disk.
        timeout(Duration::from_secs(3), draining).await.ok();
    }

    async fn hear(&mut self, message: FromServer, with: &mut Conversation, link: &mut Link) -> Result<(), Ended> {
        match message {
            FromServer::Ack(ack) if ack.lane == 0 => {
                with.acknowledged = with.acknowledged.max(ack.sequence);
                while with.in_flight.front().is_some_and(|sequence| *sequence <= with.acknowledged) {
                    with.in_flight.pop_front();
                }
                self.shared.with(|spool| spool.acknowledge(ack.sequence));
            }
            FromServer::Beat(beat) if beat.beat == with.beat => {
                let round = with.beat_sent.elapsed().as_micros() as u64;
                self.status.round_us = round;
                self.status.clock_skew_us = crate::now() - (round / 2) as i64 - beat.time;
            }
            FromServer::Policy(policy) => {
                if let Some(settings) = self.policies.take(&policy) {
                    self.heartbeat = settings.heartbeat;
                }
            }
            FromServer::Certificate(certificate) => self.keep(certificate, with)?,
            FromServer::Command(command) => {
                let ahead = self.status.clock_skew_us;
                if let Some(outcome) = self.commands.take(command, ahead, &self.status) {
                    link.send(&FromAgent::Outcome(outcome)).await?;
                }
            }
            FromServer::Cancel(cancel) => {
                self.commands.cancel(&cancel.id);
                self.questions.cancel(&cancel.id);
            }
            FromServer::Query(query) => self.questions.take(query),
            FromServer::FetchPack(wanted) => {
                if let Some(part) = self.commands.pack(&wanted) {
                    link.send(&FromAgent::PackPart(part)).await?;
                }
            }
            FromServer::FetchBaseline(wanted) => self.holding.fetch(wanted),
            FromServer::KeptBaseline(kept) => self.holding.kept(&kept),
            FromServer::Kept(kept) => self.inventory.kept(&kept),
            FromServer::Resend(wanted) => self.inventory.resend(&wanted.list),
            FromServer::Offer(offer) => self.upgrader.offered(offer),
            FromServer::Piece(piece) => self.upgrader.piece(&piece),
            FromServer::Proof(proof) => self.upgrader.proved(&proof),
            FromServer::Heard(heard) => self.upgrader.heard(&heard),
            FromServer::Withdraw(withdrawn) => self.upgrader.withdrawn(&withdrawn),
            // What this version does not do yet.
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, certificate: Certificate, with: &mut Conversation) -> Result<(), Ended> {
        let Some(key) = with.next_key.take() else { return Ok(()) };
        let mut identity = self.identity.clone();
        identity.certificate = STANDARD.encode(&certificate.certificate.0);
        identity.key = key;
        identity.not_after = certificate.not_after.to_string();
        // What does not fit is not kept: the one before still holds.
        tls::session(&identity)?;
        self.home.keep(&identity)?;
        self.identity = identity;
        crate::run::say("the certificate was renewed");
        Ok(())
    }
}

/// What one connection remembers.
struct Conversation {
    cursor: Cursor,
    acknowledged: u64,
    /// Batches on their way.
    in_flight: VecDeque<u64>,
    window: usize,
    beat: u64,
    beat_sent: Instant,
    /// The key that the next certificate is for.
    next_key: Option<String>,
}

impl Conversation {
    /// The frame of the next batch, when there is one and the window is open; waits otherwise. Safe to cancel.
    async fn next_frame(&mut self, shared: &Shared) -> Result<Vec<u8>, Ended> {
        if self.in_flight.len() >= self.window {
            return std::future::pending().await;
        }
        loop {
            if let Some(waiting) = shared.with(|spool| spool.next(&mut self.cursor))? {
                self.in_flight.push_back(waiting.sequence);
                return Ok(waiting.frame);
            }
            shared.written.notified().await;
        }
    }

    async fn renew(&mut self, link: &mut Link) -> Result<(), Ended> {
        let (key, request) = tls::new_key()?;
        self.next_key = Some(key);
        link.send(&FromAgent::Renew(Renew { request: Blob(request) })).await
    }

    async fn beat(&mut self, link: &mut Link, talk: &Talk) -> Result<(), Ended> {
        self.beat += 1;
        self.beat_sent = Instant::now();
        let (spool_bytes, lost) = talk.shared.with(|spool| (spool.lane().bytes(), spool.lost().to_vec()));
        let mut complaints = talk.policies.complaints();
        if talk.shared.failing.load(Ordering::Acquire) {
            complaints.push("the spool cannot be written: is the disk full?".to_owned());
        }
        if talk.status.clock_skew_us.abs() > SKEW_MAX {
            complaints.push(format!("the clock differs by {} s", talk.status.clock_skew_us / 1_000_000));
        }
        let beat = Heartbeat {
            beat: self.beat,
            time: crate::now(),
            spool_bytes,
            cpu_us: guardian_sys::process::cpu_time().map_or(0, |t| t.as_micros() as u64),
            resident_bytes: guardian_sys::process::resident_bytes().unwrap_or(0),
            lost,
            complaints,
            policy: Some(talk.policies.state()),
            round_us: talk.status.round_us,
        };
        link.send(&FromAgent::Heartbeat(beat)).await
    }
}
