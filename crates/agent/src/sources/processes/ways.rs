//! By which ways processes are seen on this machine, and why not by better ones. Pure.

/// What sees processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// The connector, and a program of ours in the kernel for arguments.
    ConnectorAndBpf,
    /// The connector, and audit for arguments of who is gone.
    ConnectorAndAudit,
    /// The connector, and a look at each process.
    Connector,
    /// Audit alone.
    Audit,
    /// Audit would, and tells of no program.
    None,
}

impl Ways {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectorAndBpf => "connector+bpf",
            Self::ConnectorAndAudit => "connector+audit",
            Self::Connector => "connector",
            Self::Audit => "audit",
            Self::None => "none",
        }
    }
}

/// What is there, each with why it is not.
#[derive(Debug)]
pub(crate) struct There<'a> {
    pub(crate) connector: Result<(), &'a str>,
    pub(crate) probe: Result<(), &'a str>,
    pub(crate) audit: Result<Audit, &'a str>,
}

/// How audit is.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Whether it tells of programs.
    pub(crate) tells: bool,
    /// Where its records come from.
    pub(crate) place: &'static str,
    /// What is missing so that it tells of each.
    pub(crate) lacking: Option<String>,
}

impl There<'_> {
    pub(crate) fn ways(&self) -> Ways {
        let tells = self.audit.as_ref().is_ok_and(|audit| audit.tells);
        match (self.connector, self.probe, tells) {
            (Ok(()), Ok(()), _) => Ways::ConnectorAndBpf,
            (Ok(()), Err(_), true) => Ways::ConnectorAndAudit,
            (Ok(()), Err(_), false) => Ways::Connector,
            (Err(_), _, true) => Ways::Audit,
            (Err(_), _, false) => Ways::None,
        }
    }

    /// What is not seen, and what would help; none where the best way is open.
    pub(crate) fn lacking(&self) -> Option<String> {
        let ways = self.ways();
        let why_not = match ways {
            Ways::ConnectorAndBpf => return None,
            Ways::ConnectorAndAudit | Ways::Connector => self.probe.err(),
            Ways::Audit | Ways::None => self.connector.err(),
        };
        let (place, of_audit) = match &self.audit {
            Ok(audit) => (audit.place, audit.lacking.clone()),
            Err(why) => ("nothing", Some((*why).to_owned())),
        };
        let what = match ways {
            Ways::ConnectorAndBpf => return None,
            Ways::ConnectorAndAudit => {
                format!("programs are seen by the proc connector, and by audit ({place}) where they are gone at once")
            }
            Ways::Connector => {
                "programs are seen by the proc connector alone, so that arguments of the shortest-lived are missing"
                    .into()
            }
            Ways::Audit => format!(
                "programs are seen by audit alone ({place}), so that neither ends of processes nor those without a program of \
                 their own are told"
            ),
            Ways::None => format!("programs are not seen, though audit can be read ({place})"),
        };
        let whys: Vec<String> = why_not.map(str::to_owned).into_iter().chain(of_audit).collect();
        Some(format!("{what}: {}", whys.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ways_there_are_is_said() {
        let audit = |tells, lacking: Option<&str>| {
            Ok(Audit { tells, place: "the kernel", lacking: lacking.map(str::to_owned) })
        };
        let no = Err("no BPF");
        let cases = [
            (There { connector: Ok(()), probe: Ok(()), audit: Err("not asked") }, "connector+bpf", None),
            (There { connector: Ok(()), probe: no, audit: audit(true, None) }, "connector+audit", Some("no BPF")),
            (
                There { connector: Ok(()), probe: no, audit: audit(false, Some("no rule")) },
                "connector",
                Some("no BPF; no rule"),
            ),
            (There { connector: Ok(()), probe: no, audit: Err("no audit") }, "connector", Some("no BPF; no audit")),
            (
                There { connector: Err("no CAP"), probe: no, audit: audit(true, Some("some")) },
                "audit",
                Some("no CAP; some"),
            ),
            (
                There { connector: Err("no CAP"), probe: no, audit: audit(false, Some("off")) },
                "none",
                Some("no CAP; off"),
            ),
        ];
        for (there, name, why) in cases {
            assert_eq!(there.ways().as_str(), name);
            let lacking = there.lacking();
            assert_eq!(lacking.is_some(), why.is_some(), "{name}");
            if let (Some(text), Some(why)) = (lacking, why) {
                assert!(text.ends_with(&format!(": {why}")), "{text}");
            }
        }
    }
}
