//! `guardian sbom`: what is installed here, as a bill of materials. Needs no server and no advisories.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use guardian_vuln::sbom::{self, Form};

use super::scan::{Target, about};
use crate::output;

const EXAMPLES: &str = "\
  guardian sbom . --format cyclonedx-json > app.cdx.json
  guardian sbom image.tar --format spdx-json > image.spdx.json
  guardian scan app.cdx.json                         what is known of it, today or in a year";

/// Write a bill of materials of a folder, a machine or an image: CycloneDX 1.6 or SPDX 2.3.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sbom {
    #[command(flatten)]
    target: Target,
    /// Form: cyclonedx-json, cyclonedx-xml, spdx-json or spdx-tag-value
    #[arg(long, default_value = "cyclonedx-json", value_name = "FORM")]
    format: Form,
}

impl Sbom {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let scanned = self.target.scan()?;
        output::line(sbom::write(self.format, &scanned, &about()).trim_end())?;
        scanned.issues.iter().for_each(|issue| output::note(issue));
        output::note(&format!("{} packages in {} files", scanned.packages.len(), scanned.files));
        Ok(ExitCode::SUCCESS)
    }
}
