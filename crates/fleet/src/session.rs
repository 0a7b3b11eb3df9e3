//! A session: one agent that is connected. It holds one frame, the batches of its window, and nothing else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use guardian_catalog::{Actor, Host, HostFacts, HostHealth, HostLoss};
use guardian_model::{Ip, Micros, Origin};
use guardian_protocol::message::{
    Ack, Answer, Batch, Beat, Certificate, Heartbeat, Hello, Loss, Platform, Progress, Refusal, Refuse, Renew,
    UpgradeNews, UpgradeState, Welcome,
};
use guardian_protocol::{
    Blob, FromAgent, FromServer, Mark, Offer, VERSION_MAX, VERSION_MIN, WireError, limits, negotiate,
};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use crate::assign::Assigned;
use crate::authority::shown;
use crate::baselines::Baselines;
use crate::commands::Told;
use crate::intake::{Gate, IntakeError, LaneMark};
use crate::inventory::Lists;
use crate::live::{Asked, HearError, Heard};
use crate::packs::Packs;
use crate::rows::{RowsError, append, batch};
use crate::state::{Ending, Fleet, Orders, Place};
use crate::upgrade::Offered;
use crate::wire::{Broken, Reader, Writer};

/// Longest wait for the greeting.
const GREETING: Duration = Duration::from_secs(20);
/// Batches of one agent that may be on their way to the store.
const WINDOW: usize = 8;
/// When an agent that is refused may come back.
const RETRY_BUSY: Duration = Duration::from_secs(30);
const RETRY_STOPPING: Duration = Duration::from_secs(2);

type InFlight = Pin<Box<dyn Future<Output = (u32, u64, Result<(), IntakeError>)> + Send>>;

/// How a session ends.
enum End {
    /// The agent said good-bye, or the connection ended.
    Gone,
    /// The server says why.
    Refused(Refusal, String),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Wire(error) => Self::Refused(Refusal::Malformed, error.to_string()),
            Broken::Io(_) => Self::Gone,
        }
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Refused(Refusal::Malformed, error.to_string())
    }
}

impl Fleet {
    /// Speaks with an agent whose handshake is done, until one of both ends it.
    pub async fn serve(&self, stream: TlsStream<TcpStream>, peer: SocketAddr) {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        let (read, write) = tokio::io::split(stream);
        self.serve_on(read, write, certificate, peer).await;
    }

    async fn serve_on<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        read: ReadHalf<S>,
        write: WriteHalf<S>,
        certificate: Option<CertificateDer<'static>>,
        peer: SocketAddr,
    ) {
        let (mut reader, mut writer) = (Reader::new(read), Writer::new(write));
        let known = certificate.as_ref().and_then(shown);
        let outcome = match Box::pin(self.admit(known)).await {
            Ok(host) => self.greeted(host, peer, &mut reader, &mut writer).await,
            Err(end) => end,
        };
        if let End::Refused(reason, text) = outcome {
            self.counters().refused.inc(1);
            tracing::info!(%peer, ?reason, text, "an agent was refused");
            let retry = if reason == Refusal::Stopping { RETRY_STOPPING } else { RETRY_BUSY };
            let refuse = Refuse { reason, text, retry_ms: retry.as_millis() as u32 };
            writer.finish(&FromServer::Refuse(refuse)).await;
        }
    }

    /// The host that a certificate is of, if it is let in.
    async fn admit(&self, known: Option<(uuid::Uuid, String)>) -> Result<Host, End> {
        let revoked = |text: &str| End::Refused(Refusal::Revoked, text.to_owned());
        let (id, serial) = known.ok_or_else(|| revoked("the certificate is not one of an agent"))?;
        let found = self.catalog().system().host(id).await.map_err(|error| {
            tracing::error!(%error, "a host could not be looked up");
            End::Refused(Refusal::Busy, "the catalog cannot be asked now".into())
        })?;
        let host = found.ok_or_else(|| revoked("this host was taken off the list: enrol it again"))?;
        if host.revoked.is_some() {
            return Err(revoked("this host was revoked: enrol it again"));
        }
        if host.serial == serial {
            if host.previous_serial.is_some() {
                self.settle(&host).await;
            }
            return Ok(host);
        }
        if host.previous_serial.as_ref() == Some(&serial) {
            return Ok(host);
        }
        Err(revoked("this certificate was replaced by another: was the machine copied? Enrol it again"))
    }

    /// The new certificate was shown: the one before opens nothing any more.
    async fn settle(&self, host: &Host) {
        let done = async {
            let mut tx = self.catalog().system().begin(host.tenant, Actor::system("fleet")).await?;
            tx.settle_host_certificate(host.id).await?;
            tx.commit().await
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, host = %host.id, "the certificate before the present one could not be forgotten");
        }
    }

    /// What one agent and this server say to one another, from its greeting on.
    async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: Host,
        peer: SocketAddr,
        reader: &mut Reader<ReadHalf<S>>,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> End {
        // What is only needed to begin is not held for as long as the agent stays.
        let (mut session, place, orders) = match Box::pin(self.begin(host, peer, reader, writer)).await {
            Ok(begun) => begun,
            Err(end) => return end,
        };
        let end = session.run(reader, writer, orders).await;
        self.note_left(&session, place);
        end
    }

    /// Hears the greeting, lets the agent in, and says where both stand.
    async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: Host,
        peer: SocketAddr,
        reader: &mut Reader<ReadHalf<S>>,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(Box<Session>, Place, Orders), End> {
        let hello = match timeout(GREETING, reader.next()).await {
            Ok(Ok(Some(FromAgent::Hello(hello)))) => hello,
            Ok(Ok(Some(_))) => return Err(End::Refused(Refusal::Malformed, "the first message is no greeting".into())),
            Ok(Ok(None)) | Err(_) => return Err(End::Gone),
            Ok(Err(error)) => return Err(error.into()),
        };
        let Some(version) = negotiate((VERSION_MIN, VERSION_MAX), (hello.version_min, hello.version_max)) else {
            let text = format!("this server speaks the versions {VERSION_MIN} to {VERSION_MAX} of the protocol");
            return Err(End::Refused(Refusal::Version, text));
        };
        reader.greeted();
        let busy = |text: &str| End::Refused(Refusal::Busy, text.to_owned());
        let (place, orders) = self.enter(host.id).ok_or_else(|| busy("too many agents are connected"))?;
        // Somebody may have shut it out between the look and now, when nobody could end the session yet.
        let host = match self.catalog().system().host(host.id).await {
            Ok(Some(now)) if now.revoked.is_none() => now,
            Ok(_) => return Err(End::Refused(Refusal::Revoked, "this host was revoked".into())),
            Err(_) => return Err(busy("the catalog cannot be asked now")),
        };
        let policy = self.assigned(&host).await.unwrap_or_else(|error| {
            // The agent runs the one it kept; who follows the catalog hands the right one on.
            tracing::warn!(%error, host = %host.id, "the policy of a host could not be looked up");
            None
        });
        let heartbeat = policy.as_ref().and_then(|p| p.heartbeat).unwrap_or(self.config().heartbeat.get());
        let marks = self.intake().marks(host.id, hello.epoch).await.map_err(|error| busy(&error.0))?;
        writer.send(&FromServer::Welcome(self.welcome(version, &host, &marks, heartbeat))).await?;
        self.note_came((host.tenant, host.id), heartbeat, facts(&hello, peer));
        let mut session = Box::new(Session::new(self, host, &hello, marks, heartbeat));
        let told = match &policy {
            Some(policy) => session.tell_policy(policy, writer).await,
            None => Ok(()),
        };
        if let Err(end) = told {
            self.note_left(&session, place);
            return Err(end);
        }
        Ok((session, place, orders))
    }

    fn welcome(&self, version: u32, host: &Host, marks: &[LaneMark], heartbeat: Duration) -> Welcome {
        Welcome {
            version,
            program: env!("CARGO_PKG_VERSION").into(),
            time: self.now().0,
            marks: marks.iter().map(|m| Ack { lane: m.lane, sequence: m.sequence }).collect(),
            heartbeat_ms: heartbeat.as_millis() as u32,
            window: WINDOW as u32,
            renewal_wanted: host.not_after - self.config().certificate_life.as_micros() / 3 <= self.now(),
        }
    }

    fn note_left(&self, session: &Session, place: Place) {
        if !place.is_replaced() {
            self.note_went(session.host.tenant, session.host.id);
        }
    }
}

fn facts(hello: &Hello, peer: SocketAddr) -> HostFacts {
    let platform = match hello.platform {
        Platform::Linux => "linux",
        Platform::Windows => "windows",
        _ => "other",
    };
    HostFacts {
        platform: platform.into(),
        system: hello.system.clone(),
        kernel: hello.kernel.clone(),
        architecture: hello.architecture.clone(),
        program: hello.program.clone(),
        address: Some(Ip::from(peer.ip()).to_string()),
    }
}

struct Session {
    fleet: Fleet,
    host: Host,
    /// The host's id as events carry it.
    agent: String,
    epoch: u64,
    /// What of each lane was handed to the store.
    marks: HashMap<u32, Mark>,
    gate: Gate,
    in_flight: FuturesOrdered<InFlight>,
    /// How often the agent is to be heard.
    heartbeat: Duration,
    /// Version and hash of the policy that the agent has, or was sent.
    policy: (u64, String),
    /// What it was told to do.
    told: Told,
    /// What it was asked.
    asked: Asked,
    /// The release that it was offered.
    offered: Offered,
    /// The version that greeted.
    program: String,
    lists: Lists,
    packs: Packs,
    baselines: Baselines,
}

impl Session {
    fn new(fleet: &Fleet, host: Host, hello: &Hello, marks: Vec<LaneMark>, heartbeat: Duration) -> Self {
        Self {
            fleet: fleet.clone(),
            agent: host.id.to_string(),
            epoch: hello.epoch,
            marks: marks.into_iter().map(|m| (m.lane, Mark(m.sequence))).collect(),
            gate: Gate::default(),
            in_flight: FuturesOrdered::new(),
            lists: Lists::new(fleet, host.tenant, host.id, &host.name),
            packs: Packs::new(fleet, host.tenant, host.id),
            baselines: Baselines::new(fleet, host.tenant, host.id, &host.name),
            host,
            heartbeat,
            policy: hello.policy.as_ref().map_or((0, String::new()), |p| (p.version, HEXLOWER.encode(&p.hash.0))),
            told: Told::default(),
            asked: Asked::default(),
            offered: Offered::default(),
            program: hello.program.clone(),
        }
    }

    /// What is done for a message or an order is held apart, for as long as it is done: ten thousand sessions wait most of the
    /// time, and each is as large as the largest thing that it holds.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        reader: &mut Reader<ReadHalf<S>>,
        writer: &mut Writer<WriteHalf<S>>,
        mut orders: Orders,
    ) -> End {
        let stop = self.fleet.shutdown().token();
        let mut heard = Instant::now();
        let waiting = Box::pin(self.packs.look()).await;
        if let Err(end) = say(waiting, writer).await {
            return end;
        }
        loop {
            tokio::select! {
                biased;
                ending = &mut orders.ended => return match ending {
                    Ok(Ending::Replaced) => End::Refused(Refusal::Replaced, "the same agent connected again".into()),
                    _ => End::Refused(Refusal::Revoked, "this host was revoked: enrol it again".into()),
                },
                () = stop.cancelled() => return End::Refused(Refusal::Stopping, "the server goes down".into()),
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    if let Err(end) = self.acknowledge(done, writer).await {
                        return end;
                    }
                }
                Ok(()) = orders.policy.changed() => {
                    let policy = orders.policy.borrow_and_update().clone();
                    if let Some(policy) = policy
                        && let Err(end) = self.tell_policy(&policy, writer).await
                    {
                        return end;
                    }
                }
                () = orders.commands.notified() => {
                    if let Err(end) = Box::pin(self.tell(writer)).await {
                        return end;
                    }
                }
                message = reader.next(), if self.in_flight.len() < WINDOW => {
                    heard = Instant::now();
                    let handled = match message {
                        Ok(Some(message)) => Box::pin(self.handle(message, writer)).await,
                        Ok(None) => return End::Gone,
                        Err(error) => Err(error.into()),
                    };
                    if let Err(end) = handled {
                        return end;
                    }
                }
                () = sleep_until(heard + self.heartbeat * 3), if self.in_flight.len() < WINDOW => return End::Gone,
                ask = self.lists.ready() => {
                    if let Err(error) = writer.send(&ask).await {
                        return error.into();
                    }
                }
                ask = self.baselines.ready() => {
                    if let Err(error) = writer.send(&ask).await {
                        return error.into();
                    }
                }
            }
        }
    }

    /// Says what the host is to do, to become and to answer.
    async fn tell<S: AsyncRead + AsyncWrite + Unpin>(&mut self, writer: &mut Writer<WriteHalf<S>>) -> Result<(), End> {
        self.tell_commands(writer).await?;
        self.tell_upgrade(writer).await?;
        self.ask(writer).await
    }

    /// Says what is durable now, the newest of each lane.
    async fn acknowledge<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        first: (u32, u64, Result<(), IntakeError>),
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        let mut next = Some(first);
        let mut safe: HashMap<u32, u64> = HashMap::new();
        let mut failure = None;
        while let Some((lane, sequence, done)) = next.take() {
            match done {
                Ok(()) => safe.insert(lane, sequence),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            next = self.in_flight.next().now_or_never().flatten();
        }
        for (lane, sequence) in safe {
            writer.put(&FromServer::Ack(Ack { lane, sequence }))?;
        }
        writer.flush().await?;
        match failure {
            None => Ok(()),
            Some(error) => Err(End::Refused(Refusal::Busy, format!("events cannot be stored now: {error}"))),
        }
    }

    async fn handle<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        message: FromAgent,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        match message {
            FromAgent::Batch(batch) => self.batch(&batch).await,
            FromAgent::Heartbeat(beat) => {
                let now = self.fleet.now();
                self.fleet.note_beat(self.whose(), self.heartbeat, health(&beat, now));
                Ok(writer.send(&FromServer::Beat(Beat { beat: beat.beat, time: now.0 })).await?)
            }
            FromAgent::Renew(renew) => {
                let certificate = self.renew(&renew).await?;
                Ok(writer.send(&FromServer::Certificate(certificate)).await?)
            }
            FromAgent::Outcome(outcome) => {
                let ended = !matches!(outcome.progress, Progress::Accepted | Progress::Running);
                let collected = outcome.pack.is_some();
                if let Err(error) = self.fleet.hear_outcome(self.whose(), outcome).await {
                    // The agent remembers it, and says it again when it is asked at the next connection.
                    tracing::warn!(%error, host = %self.host.id, "what became of a command could not be kept");
                    return Err(End::Refused(Refusal::Busy, "outcomes cannot be kept now".into()));
                }
                if collected {
                    say(self.packs.look().await, writer).await?;
                }
                if ended && self.told.more { self.tell_commands(writer).await } else { Ok(()) }
            }
            FromAgent::Inventory(part) => match self.lists.take(part).await? {
                Some(told) => Ok(writer.send(&told).await?),
                None => Ok(()),
            },
            FromAgent::Answer(part) => self.answer(part, writer).await,
            FromAgent::PackPart(part) => say(self.packs.take(part).await, writer).await,
            FromAgent::BaselineState(state) => say(self.baselines.stated(state).await, writer).await,
            FromAgent::BaselinePart(part) => say(self.baselines.take(part).await, writer).await,
            FromAgent::UpgradeNews(news) => self.upgrade_news(&news, writer).await,
            FromAgent::Fetch(fetch) => {
                let piece = self.fleet.piece_of(self.host.tenant, &self.offered, &fetch).await;
                Ok(writer.send(&piece).await?)
            }
            FromAgent::Leaving(leaving) => self.leaves(&leaving.text).await,
            FromAgent::Goodbye(_) => Err(End::Gone),
            FromAgent::Hello(_) => Err(End::Refused(Refusal::Malformed, "a second greeting".into())),
            // Answers to what this server does not ask yet.
            _ => Ok(()),
        }
    }

    const fn whose(&self) -> (guardian_model::TenantId, uuid::Uuid) {
        (self.host.tenant, self.host.id)
    }

    /// Sends a policy that is another than the agent has.
    async fn tell_policy<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        policy: &Assigned,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        self.heartbeat = policy.heartbeat.unwrap_or(self.fleet.config().heartbeat.get());
        let now = (policy.version, policy.hash.clone());
        if self.policy != now {
            writer.send(&FromServer::Policy(policy.message())).await?;
            self.policy = now;
        }
        Ok(())
    }

    async fn upgrade_news<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        news: &UpgradeNews,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        if news.version != self.program {
            return Err(End::Refused(Refusal::Malformed, "another version greeted".into()));
        }
        if !matches!(news.state, UpgradeState::Fetching | UpgradeState::Trying | UpgradeState::Connected) {
            // It has come to an end; what comes next is another offer.
            self.offered = Offered::default();
        }
        match self.fleet.hear_upgrade(self.whose(), news).await {
            Ok(Some(answer)) => Ok(writer.send(&answer).await?),
            Ok(None) => Ok(()),
            Err(error) => {
                // The agent says it again at its next connection.
                tracing::warn!(%error, host = %self.host.id, "what became of a release could not be kept");
                Err(End::Refused(Refusal::Busy, "what became of a release cannot be kept now".into()))
            }
        }
    }

    /// The agent is taken off its machine.
    async fn leaves(&mut self, text: &str) -> Result<(), End> {
        let done = async {
            let mut tx = self.fleet.catalog().system().begin(self.host.tenant, Actor::system("fleet")).await?;
            tx.leave_host(self.host.id, text).await?;
            tx.commit().await
        };
        done.await.map_err(|error| {
            tracing::warn!(%error, host = %self.host.id, "a host that leaves could not be shut out");
            End::Refused(Refusal::Busy, "this cannot be written down now".into())
        })?;
        Err(End::Refused(Refusal::Revoked, "this host has left".into()))
    }

    /// Offers the host a release where it is its turn, and calls off what does not stand any more.
    async fn tell_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        match self.fleet.word_about_upgrade(self.whose(), &mut self.offered).await {
            Ok(Some(word)) => Ok(writer.send(&word).await?),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, host = %self.host.id, "the release of a host could not be looked up");
                Ok(())
            }
        }
    }

    /// Sends the commands that the agent has not heard of, and calls off what was called off.
    async fn tell_commands<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        let words = match self.fleet.words_about_commands(self.whose(), &mut self.told).await {
            Ok(words) => words,
            Err(error) => {
                tracing::warn!(%error, host = %self.host.id, "the commands of a host could not be looked up");
                return Err(End::Refused(Refusal::Busy, "commands cannot be looked up now".into()));
            }
        };
        say(words, writer).await
    }

    /// Asks what the host was not asked yet, and calls off what was called off.
    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&mut self, writer: &mut Writer<WriteHalf<S>>) -> Result<(), End> {
        match self.fleet.words_about_queries(self.whose(), &mut self.asked).await {
            Ok(words) => say(words, writer).await,
            Err(error) => {
                tracing::warn!(%error, host = %self.host.id, "the live queries of a host could not be looked up");
                Ok(())
            }
        }
    }

    /// Keeps a part of an answer, or has the host stop.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        part: Answer,
        writer: &mut Writer<WriteHalf<S>>,
    ) -> Result<(), End> {
        let last = part.last;
        match self.fleet.hear_answer(self.whose(), part).await {
            Ok(Heard::Stop(word)) => Ok(writer.send(&word).await?),
            // One that is done makes room for the next.
            Ok(Heard::Kept) => {
                if last {
                    self.ask(writer).await
                } else {
                    Ok(())
                }
            }
            Err(HearError::Wire(error)) => Err(error.into()),
            Err(HearError::Catalog(error)) => {
                // The part is lost: the next one shows it, or the query's time is over.
                tracing::warn!(%error, host = %self.host.id, "an answer to a live query could not be kept");
                Ok(())
            }
        }
    }

    /// Hands a batch to the store, unless it was before.
    async fn batch(&mut self, sent: &Batch) -> Result<(), End> {
        let malformed = |text: &str| End::Refused(Refusal::Malformed, text.to_owned());
        if sent.lane >= limits::LANES_MAX {
            return Err(malformed("there is no such lane"));
        }
        let counters = self.fleet.counters();
        let mark = self.marks.entry(sent.lane).or_default();
        match mark.offer(sent.sequence) {
            Offer::Refuse => return Err(malformed("sequences begin at 1")),
            Offer::Known => {
                // It is safe, or on its way: the answer comes behind those that are.
                counters.repeated.inc(1);
                let (lane, sequence) = (sent.lane, mark.0);
                self.in_flight.push_back(Box::pin(async move { (lane, sequence, Ok(())) }));
                return Ok(());
            }
            Offer::Apply { mark: next, missed } => {
                counters.missed.inc(missed);
                *mark = next;
            }
        }
        counters.agent_lost.inc(sent.lost.iter().map(|l| l.rows).fold(0, u64::saturating_add));
        let (mut batches, mut rows): (Vec<guardian_model::Batch>, u64) = (Vec::new(), 0);
        for events in guardian_protocol::open(sent)? {
            match batch(&events, self.host.tenant, (&self.host.name, &self.agent), self.fleet.now()) {
                Ok(made) => {
                    rows += made.rows.num_rows() as u64;
                    // One batch a class: that is what a mark is kept for.
                    match batches.iter_mut().find(|b| b.class.uid == made.class.uid) {
                        Some(first) => append(first, &made).map_err(|e| malformed(&e.to_string()))?,
                        None => batches.push(made),
                    }
                }
                Err(RowsError::UnknownClass(class)) => {
                    counters.unknown_rows.inc(events.rows as u64);
                    tracing::debug!(class, host = self.host.name, "rows of a class that only a newer server knows");
                }
                Err(error) => return Err(malformed(&error.to_string())),
            }
        }
        counters.batches.inc(1);
        counters.rows.inc(rows);
        let (lane, sequence) = (sent.lane, sent.sequence);
        let origin = Origin { sender: *self.host.id.as_bytes(), epoch: self.epoch, lane, sequence };
        let stored = self.fleet.intake().offer(batches, origin, self.gate.clone()).await;
        let stored = stored.map_err(|e| End::Refused(Refusal::Busy, e.0))?;
        self.in_flight.push_back(Box::pin(async move { (lane, sequence, stored.await) }));
        Ok(())
    }

    async fn renew(&mut self, wanted: &Renew) -> Result<Certificate, End> {
        let signed = self.fleet.sign(self.host.id, &wanted.request.0);
        let signed = signed.map_err(|e| End::Refused(Refusal::Malformed, e.to_string()))?;
        let kept = async {
            let mut tx = self.fleet.catalog().system().begin(self.host.tenant, Actor::system("fleet")).await?;
            let host = tx.renew_host(self.host.id, &signed.serial, signed.not_after).await?;
            tx.commit().await?;
            Ok::<_, guardian_catalog::CatalogError>(host)
        };
        self.host = kept.await.map_err(|error| {
            tracing::error!(%error, host = %self.host.id, "a certificate could not be renewed");
            End::Refused(Refusal::Busy, "the certificate cannot be renewed now".into())
        })?;
        Ok(Certificate { certificate: Blob(signed.der), not_after: signed.not_after.0 })
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    words: impl IntoIterator<Item = FromServer>,
    writer: &mut Writer<WriteHalf<S>>,
) -> Result<(), End> {
    let mut any = false;
    for word in words {
        writer.put(&word)?;
        any = true;
    }
    if any { Ok(writer.flush().await?) } else { Ok(()) }
}

fn health(beat: &Heartbeat, now: Micros) -> HostHealth {
    let lost = |l: &Loss| HostLoss { class: l.class.clone(), rows: l.rows, place: l.place.clone() };
    HostHealth {
        // It was said half a round ago.
        clock_skew_us: beat.time.saturating_add((beat.round_us / 2) as i64).saturating_sub(now.0),
        round_us: beat.round_us,
        spool_bytes: beat.spool_bytes,
        cpu_us: beat.cpu_us,
        resident_bytes: beat.resident_bytes,
        lost: beat.lost.iter().take(64).map(lost).collect(),
        complaints: beat.complaints.iter().take(32).cloned().collect(),
        policy_version: beat.policy.as_ref().map(|p| p.version).filter(|version| *version > 0),
        policy_hash: beat.policy.as_ref().filter(|p| p.version > 0).map(|p| HEXLOWER.encode(&p.hash.0)),
        policy_complaints: beat.policy.as_ref().map(|p| p.complaints.clone()).unwrap_or_default(),
        policy_overrides: beat.policy.as_ref().map(|p| p.overrides.clone()).unwrap_or_default(),
    }
}
