//! Wiring: builds the components, starts them in order, and stops them in the reverse order.

mod checks;
mod figures;
mod findings;
mod intake;
pub(crate) mod offline;
mod owners;
mod replays;
pub(crate) mod rules;
mod store;
mod updates;
mod visits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use guardian_api::{ApiSettings, ApiState, Cursors, Kpis, TrafficCache};
use guardian_catalog::Catalog;
use guardian_fleet::{Fleet, FleetDeps, Releases};
use guardian_identity::{Anchors, Identity, OperatorKey};
use guardian_kit::clock::{Clock, SystemClock};
use guardian_kit::egress;
use guardian_kit::health::Health;
use guardian_kit::metrics::Metrics;
use guardian_kit::shutdown::Shutdown;
use guardian_lake::{Lake, LakeKeys};
use guardian_notify::{Notifier, NotifierDeps};
use guardian_pipeline::replay::Replayer;
use guardian_pipeline::{Collector, CollectorDeps, Enrichers, Owners, Spine, SpineDeps, StateDir, TenantRules};
use guardian_respond::{EvidenceStore, Responder};
use guardian_rules::RuleSet;

use crate::accept::Acceptor;
use crate::config::Config;
use crate::remote::RunFile;
use crate::tls::{self, ServerTls};

/// How long open requests may take to end at a stop.
const DRAIN: Duration = Duration::from_secs(2);
/// How often ended sessions are removed.
const SWEEP: Duration = Duration::from_secs(600);
/// How often it is looked whether there are new keys.
const KEYS: Duration = Duration::from_secs(60);
/// How often it is looked whether there are checkpoints to anchor.
const ANCHOR: Duration = Duration::from_secs(5);

/// What a person should hear at the start.
pub(crate) struct Welcome {
    /// Base URL.
    pub(crate) url: String,
    /// Fingerprint of the local authority.
    pub(crate) fingerprint: Option<String>,
    /// Where it lies.
    pub(crate) ca: Option<PathBuf>,
    /// Set-up token and its file, while there is no account.
    pub(crate) setup: Option<(String, PathBuf)>,
    /// UDP addresses.
    pub(crate) listening: Vec<SocketAddr>,
    /// Interfaces that are metered.
    pub(crate) captures: Vec<String>,
    /// What is missing, such as location databases.
    pub(crate) notices: Vec<String>,
    /// Rules that run.
    pub(crate) rules: usize,
    /// Where osquery's nodes are heard, if they are.
    pub(crate) osquery: Option<SocketAddr>,
}

/// The running program.
pub(crate) struct Program {
    config: Config,
    shutdown: Shutdown,
    lake: Lake,
    collector: Collector,
    spine: Spine,
    alert_writer: tokio::task::JoinHandle<()>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    handle: axum_server::Handle<SocketAddr>,
    replays: Arc<replays::LocalReplays>,
}

impl Program {
    /// Starts everything. An error leaves nothing running that matters: the process ends.
    pub(crate) async fn start(config: Config, captures: Vec<String>, shutdown: Shutdown) -> Result<(Self, Welcome)> {
        std::fs::create_dir_all(&config.data).with_context(|| format!("cannot make {}", config.data.display()))?;
        raise_limits();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (server_tls, url, listener) = listen(&config, &clock)?;
        let ground = Ground::open(&config, clock, shutdown.clone()).await?;
        let owners = Arc::new(Owners::default());
        let (spine, alert_writer) = ground.detect(&config, &owners).await?;
        owners::recall(Arc::clone(&owners), ground.lake.clone(), ground.catalog.clone(), ground.clock.now());
        let collector = Collector::start(CollectorDeps {
            config: config.collect.clone(),
            captures: captures.clone(),
            enrich: Arc::clone(&ground.enrich),
            owners,
            spine: spine.input(),
            clock: Arc::clone(&ground.clock),
            metrics: ground.metrics.clone(),
            shutdown: shutdown.clone(),
            state: ground.state.clone(),
        })?;
        let fleet = ground.fleet(&config, &spine).await?;
        let app = ground.api(&config, &url, &collector, &spine, &server_tls, &fleet).await?;
        let (app, replays, setup) = app;
        let handle = axum_server::Handle::new();
        let rustls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::clone(&server_tls.config));
        server_tls.certificates.follow(rustls.clone(), &shutdown);
        let authorities = server_tls.authorities.inspect(|authorities| authorities.follow(&shutdown));
        let accepting = rustls.clone();
        let osquery = crate::osquery::start(&config.fleet.osquery, &rustls, &fleet, &shutdown)?;
        let serving = axum_server::from_tcp_rustls(listener, rustls)?
            .map(|_| Acceptor::new(accepting, authorities, fleet))
            .handle(handle.clone())
            .serve(app.into_make_service());
        let server = tokio::spawn(serving);
        write_run_file(&config, &url, server_tls.ca_file.as_deref(), collector.listening(), osquery)?;
        let welcome = Welcome {
            url,
            fingerprint: server_tls.fingerprint,
            ca: server_tls.ca_file,
            setup,
            listening: collector.listening().to_vec(),
            captures,
            notices: ground.notices,
            rules: ground.rule_count,
            osquery,
        };
        let lake = ground.lake;
        let program = Self { config, shutdown, lake, collector, spine, alert_writer, server, handle, replays };
        Ok((program, welcome))
    }

    /// Waits until the program should end, by signal or by the failure of a part, and stops it. Answers the failure.
    pub(crate) async fn run(self) -> Result<()> {
        let token = self.shutdown.token();
        let mut server = self.server;
        let mut failure = None;
        tokio::select! {
            () = token.cancelled() => {}
            signal = signals() => tracing::info!(signal, "stopping"),
            ended = &mut server => {
                let reason = match ended {
                    Ok(Ok(())) => "the web server ended".to_owned(),
                    Ok(Err(error)) => format!("the web server failed: {error}"),
                    Err(error) => format!("the web server panicked: {error}"),
                };
                failure = Some(reason);
            }
        }
        std::fs::remove_file(RunFile::path(&self.config.data)).ok();
        self.shutdown.trigger();
        self.replays.stop();
        self.handle.graceful_shutdown(Some(DRAIN));
        let (collector, spine) = (self.collector, self.spine);
        let stopped = tokio::task::spawn_blocking(move || {
            collector.join();
            spine.stop();
        });
        stopped.await.map_err(|e| anyhow!("stopping panicked: {e}"))?;
        if failure.is_none() {
            // Its result no longer matters: it was asked to end.
            tokio::time::timeout(DRAIN + Duration::from_secs(1), server).await.ok();
        }
        // The spine held the only sender, so the writer ends after the last alert.
        tokio::time::timeout(Duration::from_secs(10), self.alert_writer).await.ok();
        let lake = self.lake;
        tokio::task::spawn_blocking(move || lake.shutdown()).await.map_err(|e| anyhow!("{e}"))??;
        match failure.or_else(|| self.shutdown.failure()) {
            Some(reason) => Err(anyhow!(reason)),
            None => Ok(()),
        }
    }
}

/// The releases of the agent, and the agent's program that may lie beside this one.
fn releases(config: &Config) -> Releases {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("guardian-agent"));
    Releases::open(config.data.join("releases"), beside.into_iter().collect())
}

/// What everything else stands on: the stores, the rules and the enrichment.
struct Ground {
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shutdown: Shutdown,
    state: StateDir,
    lake: Lake,
    catalog: Catalog,
    identity: Identity,
    rules: Arc<ArcSwap<TenantRules>>,
    rule_count: usize,
    enrich: Arc<dyn Enrichers>,
    notices: Vec<String>,
}

impl Ground {
    async fn open(config: &Config, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Result<Self> {
        let metrics = Metrics::new();
        let state = StateDir::open(config.data.join("state")).context("cannot make the state directory")?;
        let catalog = Catalog::connect(&config.catalog, &config.data, Arc::clone(&clock)).await?;
        if let Some(problem) = config.identity.problem() {
            return Err(anyhow!(problem));
        }
        let identity = Identity::new(catalog.clone(), Arc::clone(&clock), config.identity.clone(), &config.data);
        identity.prepare_keys().await?;
        let keys = LakeKeys::new(&identity.lake_keys().await?)?;
        // What takes longest goes on beside the rest.
        let opening = {
            let (config, keys, clock, metrics) =
                (config.lake.clone(), keys.clone(), Arc::clone(&clock), metrics.clone());
            tokio::task::spawn_blocking(move || Lake::open(config, &keys, clock, &metrics))
        };
        follow_keys(identity.clone(), keys, shutdown.clone());
        rules::sync_shipped(&catalog).await.context("cannot store the shipped rules")?;
        let rules = rules::load(&catalog).await.context("cannot load the rules")?;
        let alerting = |set: &Arc<RuleSet>| set.rules().iter().filter(|r| r.alerts).count();
        let rule_count = rules.by_tenant.values().map(alerting).max().unwrap_or_default();
        let (intel, notices) = guardian_intel::Intel::open(&config.enrich, &metrics)?;
        reload_intel(intel.clone(), config, shutdown.clone());
        let lake = opening.await.map_err(|e| anyhow!("opening the lake panicked: {e}"))??;
        Ok(Self {
            clock,
            metrics,
            shutdown,
            state,
            lake,
            catalog,
            identity,
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            rule_count,
            enrich: Arc::new(store::Enrichment(intel)),
            notices: notices.into_iter().map(|n| format!("{}; {}", n.text, n.remedy)).collect(),
        })
    }

    async fn detect(&self, config: &Config, owners: &Arc<Owners>) -> Result<(Spine, tokio::task::JoinHandle<()>)> {
        let (alerts, alert_writer) = store::alert_writer(self.catalog.clone(), &self.metrics);
        let deps = SpineDeps {
            store: Arc::new(store::LakeStore::new(self.lake.clone())),
            alerts: Arc::new(alerts),
            rules: Arc::clone(&self.rules),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            state: self.state.clone(),
            detect: config.detect.clone(),
            owners: Arc::clone(owners),
        };
        // Reading the log back blocks, and publishes alerts, whose writer runs on this runtime.
        let starting = tokio::task::spawn_blocking(move || Spine::start(deps));
        let spine = starting.await.map_err(|e| anyhow!("starting detection panicked: {e}"))??;
        Ok((spine, alert_writer))
    }

    /// The agents, whose events take the way of all others.
    async fn fleet(&self, config: &Config, spine: &Spine) -> Result<Fleet> {
        let intake = intake::LocalIntake::start(self.lake.clone(), spine.input())?;
        let fleet = Fleet::open(FleetDeps {
            catalog: self.catalog.clone(),
            identity: self.identity.clone(),
            intake: Arc::new(intake),
            clock: Arc::clone(&self.clock),
            releases: releases(config),
            config: config.fleet.clone(),
            packs: config.data.join("evidence").join("packs"),
            baselines: config.data.join("evidence").join("baselines"),
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
        });
        fleet.await.context("the agents' authority cannot be opened")
    }

    async fn api(
        &self,
        config: &Config,
        url: &str,
        collector: &Collector,
        spine: &Spine,
        server_tls: &ServerTls,
        fleet: &Fleet,
    ) -> Result<(axum::Router, Arc<replays::LocalReplays>, Option<(String, PathBuf)>)> {
        let clock = Arc::clone(&self.clock);
        let identity = self.identity.clone();
        identity.accept_operator(OperatorKey::create(&config.data.join("run").join("operator.key"))?);
        let setup = identity.prepare_setup().await?.map(|s| (s.token.to_string(), s.path));
        sweep_sessions(identity.clone(), self.shutdown.clone());
        let client = egress::Client::new(&config.egress, &self.metrics)?;
        identity.reach(client.clone());
        if server_tls.authorities.is_some() {
            identity.accept_certificates(config.server.tls.certificates());
        }
        follow_directory(identity.clone(), self.shutdown.clone());
        anchor_checkpoints(Anchors::new(identity.clone(), client)?, self.shutdown.clone());
        let kpis = figures::start(&figures::Sources {
            collector: collector.exporters(),
            spine: spine.stats(),
            exception_hits: spine.exception_hits(),
            catalog: self.catalog.clone(),
            metrics: self.metrics.clone(),
            clock: Arc::clone(&clock),
            shutdown: self.shutdown.clone(),
        });
        let enrich = Arc::clone(&self.enrich);
        let replayer =
            Replayer { enrich, spine: spine.input(), clock: Arc::clone(&clock), meter: config.collect.meter() };
        let replays = replays::LocalReplays::new(replayer, config.data.join("spool"), self.shutdown.clone())?;
        let replays = Arc::new(replays);
        let health = self.health(config, &kpis);
        let activity = figures::RuleFigures::new(spine.rule_stats(), self.catalog.clone(), Arc::clone(&self.rules));
        let (metrics, shutdown) = (self.metrics.clone(), self.shutdown.clone());
        // It ends with the program, and what it had not written down it finds again at the next start.
        drop(Responder::new(self.catalog.clone(), Arc::clone(&clock), &metrics, shutdown).start());
        let notifier = self.notifier(config, url, &identity)?;
        notifier.start(health.clone());
        let findings = findings::start(self, config, spine)?;
        updates::start(self, config);
        let app = guardian_api::router(ApiState {
            catalog: self.catalog.clone(),
            evidence: EvidenceStore::new(config.data.join("evidence")),
            traffic: TrafficCache::default(),
            notifier,
            identity,
            lake: self.lake.clone(),
            fleet: fleet.clone(),
            findings,
            rule_stats: Arc::new(activity),
            replays: Arc::clone(&replays) as Arc<dyn guardian_api::Replays>,
            kpis,
            health,
            metrics: self.metrics.clone(),
            clock,
            cursors: Cursors::new(rand::random()),
            settings: Arc::new(api_settings(config, server_tls)?),
        });
        Ok((app, replays, setup))
    }

    /// The board of checks, with whoever keeps them up to date.
    fn health(&self, config: &Config, kpis: &tokio::sync::watch::Receiver<Kpis>) -> Health {
        let health = Health::new();
        let watched = checks::Watched {
            lake: self.lake.clone(),
            queue_bytes: config.lake.wal_queue.get(),
            catalog: self.catalog.clone(),
            data: config.data.clone(),
            kpis: kpis.clone(),
            shutdown: self.shutdown.clone(),
        };
        checks::start(&health, watched);
        health
    }

    /// What tells people; links in its messages lead to where people reach the console.
    fn notifier(&self, config: &Config, url: &str, identity: &Identity) -> Result<Notifier> {
        let public_url = if config.server.public_url.is_empty() { url } else { &config.server.public_url };
        let notifier = Notifier::new(NotifierDeps {
            catalog: self.catalog.clone(),
            identity: identity.clone(),
            clock: Arc::clone(&self.clock),
            config: config.notify.clone(),
            egress: config.egress.clone(),
            public_url: public_url.to_owned(),
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
        });
        notifier.context("notifications cannot be set up")
    }
}

fn api_settings(config: &Config, server_tls: &ServerTls) -> Result<ApiSettings> {
    Ok(ApiSettings {
        metrics_public: config.server.metrics_public,
        hsts: !config.server.tls.certificate.as_os_str().is_empty(),
        disabled_detectors: config.detect.disabled_detectors.clone(),
        public_url: public_url(&config.server.public_url)?,
        names: server_tls.names.clone(),
        client_certificates: server_tls.authorities.is_some(),
    })
}

/// The address that people type, if it is one that browsers trust.
fn public_url(text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let fits = text.strip_prefix("https://").is_some_and(|rest| {
        let host = rest.trim_end_matches('/');
        !host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])
    });
    if !fits {
        return Err(anyhow!(
            "server.public_url: `{text}` is no address of this server, such as https://guardian.example.com"
        ));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

/// Binds the web address and prepares TLS.
fn listen(config: &Config, clock: &Arc<dyn Clock>) -> Result<(ServerTls, String, std::net::TcpListener)> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let server_tls = tls::server(&config.server.tls, &config.data.join("tls"), host.trim(), clock)?;
    let address = &config.server.address;
    let parsed: SocketAddr = address.parse().map_err(|_| {
        anyhow!("server.address: `{address}` is no address and port, such as 127.0.0.1:8443 or [::]:8443")
    })?;
    let listener = std::net::TcpListener::bind(parsed).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {0} is taken (`ss -ltnp sport = :{0}` shows by whom): stop that program, or choose another with \
             --set server.address=[::]:PORT",
            parsed.port()
        ),
        _ => anyhow!("cannot listen on {address}: {error}"),
    })?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let shown = if bound.ip().is_unspecified() { "localhost".to_owned() } else { bound.ip().to_string() };
    let shown = if shown.contains(':') { format!("[{shown}]") } else { shown };
    Ok((server_tls, format!("https://{shown}:{}", bound.port()), listener))
}

fn write_run_file(
    config: &Config,
    url: &str,
    ca: Option<&Path>,
    flows: &[SocketAddr],
    osquery: Option<SocketAddr>,
) -> Result<()> {
    let ca = ca.map(std::path::absolute).transpose()?;
    let run = RunFile { url: url.to_owned(), ca, pid: std::process::id(), flows: flows.to_vec(), osquery };
    let path = RunFile::path(&config.data);
    // At once and whole: others read it at any time.
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_string(&run)?)
        .and_then(|()| std::fs::rename(&fresh, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// File descriptors for exporters' sockets, Parquet files and connections.
const OPEN_FILES: u64 = 65_536;

fn raise_limits() {
    if let Err(error) = guardian_sys::process::raise_open_files(OPEN_FILES) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn sweep_sessions(identity: Identity, shutdown: Shutdown) {
    tokio::spawn(async move {
        let mut rounds = shutdown.rounds(SWEEP);
        while rounds.next().await {
            if let Err(error) = identity.sweep().await {
                tracing::warn!(%error, "ended sessions could not be removed");
            }
            if let Err(error) = identity.checkpoint_due().await {
                tracing::error!(%error, "the audit trail could not be signed");
            }
        }
    });
}

/// Learns of keys that `guardian keys rotate` made, which is another process.
fn follow_keys(identity: Identity, lake: LakeKeys, shutdown: Shutdown) {
    tokio::spawn(async move {
        let mut rounds = shutdown.rounds(KEYS);
        while rounds.next().await {
            if let Err(error) = learn_keys(&identity, &lake).await {
                tracing::error!(%error, "the catalog's keys could not be read");
            }
        }
    });
}

async fn learn_keys(identity: &Identity, lake: &LakeKeys) -> Result<()> {
    identity.refresh_keys().await?;
    Ok(lake.replace(&identity.lake_keys().await?)?)
}

/// Carries checkpoints of the audit trail to where they are kept outside this machine.
fn anchor_checkpoints(anchors: Anchors, shutdown: Shutdown) {
    if anchors.is_empty() {
        return;
    }
    tokio::spawn(async move {
        let mut rounds = shutdown.rounds(ANCHOR);
        while rounds.next().await {
            if let Err(error) = anchors.carry().await {
                tracing::error!(%error, "checkpoints of the audit trail could not be anchored; they are tried again");
            }
        }
    });
}

/// Asks the directory now and then whether its people still have their groups.
fn follow_directory(identity: Identity, shutdown: Shutdown) {
    let Some(refresh) = identity.directory_refresh() else { return };
    tokio::spawn(async move {
        let mut rounds = shutdown.rounds(refresh);
        while rounds.next().await {
            match identity.follow_directory().await {
                Ok(0) => {}
                Ok(disabled) => tracing::info!(disabled, "accounts without a group in the directory were disabled"),
                Err(error) => tracing::warn!(%error, "the directory could not be asked about its people"),
            }
        }
    });
}

/// Looks for changed databases and lists now and then, beside everything else.
fn reload_intel(intel: guardian_intel::Intel, config: &Config, shutdown: Shutdown) {
    let interval = config.enrich.reload_interval.get();
    tokio::task::spawn_blocking(move || {
        while !shutdown.wait_timeout(interval) {
            let outcome = intel.reload_if_changed();
            tracing::debug!(?outcome, "looked for changed databases and lists");
        }
    });
}

async fn signals() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be received; end the process by SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminate",
    }
}
