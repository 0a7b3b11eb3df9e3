//! `guardian serve`: the server.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use guardian_kit::shutdown::Shutdown;

use super::Global;
use crate::output;
use crate::wiring::{Program, Welcome};

const EXAMPLES: &str = "\
  guardian serve                                         data in ./data, NetFlow/IPFIX/sFlow on UDP 2055, 4739, 6343
  sudo guardian serve --capture eth0                     meter this machine's own traffic; no router needed
  guardian serve --data /var/lib/guardian --set server.address=0.0.0.0:443";

/// Receive flows, detect attacks, and serve the console and the API.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// Meter the packets of this interface into flows (needs CAP_NET_RAW); may be repeated
    #[arg(long, value_name = "IFACE")]
    capture: Vec<String>,
}

impl Serve {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let begun = Instant::now();
        let config = global.load()?;
        guardian_kit::logging::init(&config.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("api").build()?;
        runtime.block_on(async {
            let shutdown = Shutdown::new();
            // What was started before the failure ends with it.
            let started = Program::start(config, self.capture, shutdown.clone()).await;
            let (program, welcome) = started.inspect_err(|_| shutdown.trigger())?;
            say(&welcome, begun);
            program.run().await
        })?;
        output::note("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

fn say(welcome: &Welcome, begun: Instant) {
    output::note(&format!("Guardian is ready at {} after {:.2} s", welcome.url, begun.elapsed().as_secs_f64()));
    if let (Some(print), Some(ca)) = (&welcome.fingerprint, &welcome.ca) {
        output::note(&format!("  certificate authority  {}\n  its SHA-256            {print}", ca.display()));
    }
    let addresses: Vec<_> = welcome.listening.iter().map(ToString::to_string).collect();
    output::note(&format!("  flows welcome on UDP   {}", addresses.join(", ")));
    if !welcome.captures.is_empty() {
        output::note(&format!("  metering packets of    {}", welcome.captures.join(", ")));
    }
    if let Some(address) = welcome.osquery {
        output::note(&format!("  osquery's nodes on     {address}"));
    }
    output::note(&format!("  rules running          {}", welcome.rules));
    for notice in &welcome.notices {
        output::note(&format!("  note                   {notice}"));
    }
    if let Some((token, file)) = &welcome.setup {
        output::note(&format!(
            "  first-run set-up       token {token} (also in {}; once, from this machine, within 30 minutes)\n  \
             or make an account by  guardian user add NAME --role admin",
            file.display()
        ));
    }
    output::note("  watch alerts with      guardian alerts --follow");
}
