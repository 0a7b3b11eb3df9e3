//! The task lists that ship, one for each kind of incident. They follow the phases of NIST SP 800-61: find out, contain,
//! remove, recover, learn. A tenant's own template of the same id takes the place of a shipped one.

use guardian_catalog::{IncidentKind, IncidentTemplate, NewTask, TemplateDraft, TemplateTask};
use guardian_model::{Micros, TenantId};
use uuid::Uuid;

/// A task in short: phase, title, how.
type Task = (&'static str, &'static str, &'static str);

struct Shipped {
    kind: IncidentKind,
    name: &'static str,
    tasks: &'static [Task],
}

const LEARN: Task = (
    "learn",
    "Write down what happened and what to change",
    "What was found late? Which rule, setting or machine has to change so that it is found earlier or cannot happen?",
);

const SHIPPED: &[Shipped] = &[
    Shipped {
        kind: IncidentKind::General,
        name: "Any incident",
        tasks: &[
            ("find out", "Confirm that it is one", "Look at the evidence of each alert. Ask whoever owns the machine."),
            ("find out", "Find what else is affected", "Pivot from each entity: what did it talk to before and after?"),
            ("contain", "Stop the harm", "Isolate the machine or block the address, with its owner's knowledge."),
            ("remove", "Remove the cause", "Patch, reconfigure or rebuild."),
            ("recover", "Put it back to work and watch it", "Watch the same entities for a week."),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::Reconnaissance,
        name: "Somebody explores the network",
        tasks: &[
            (
                "find out",
                "Whose machine is the source?",
                "A scanner of your own or of an auditor is benign: suppress it.",
            ),
            ("find out", "Which ports answered?", "Flows with bytes in both directions from the source tell."),
            ("find out", "Look for what came after the scan", "Logins, transfers and beacons of source and targets."),
            (
                "contain",
                "Block or isolate the source",
                "An outside address at the edge, an inside machine from the network.",
            ),
            (
                "remove",
                "Close what should not have answered",
                "Services without need, rules of firewalls that are too wide.",
            ),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::BruteForce,
        name: "Somebody guesses passwords",
        tasks: &[
            (
                "find out",
                "Did a guess succeed?",
                "A long session or many bytes after many short ones. Check the server's log.",
            ),
            ("find out", "Which accounts were tried?", "The server's authentication log names them."),
            ("contain", "Block the source", "At the edge, or on the server."),
            ("contain", "Lock accounts that may be known", "Set new passwords, end sessions, remove strange keys."),
            (
                "remove",
                "Make guessing pointless",
                "Keys or a second factor; the service not reachable from everywhere.",
            ),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::Malware,
        name: "Hostile software",
        tasks: &[
            ("find out", "Which machines show the same signs?", "Hunt for the same destinations, hashes and names."),
            ("find out", "How did it come in?", "Mail, download, service, removable media."),
            ("contain", "Isolate the machines", "Keep them switched on where memory is evidence."),
            ("contain", "Secure evidence", "Image of memory and disk, added here with its hash."),
            ("remove", "Rebuild rather than clean", "From a known good image; change the secrets that were on it."),
            ("recover", "Restore data and watch", "From backups older than the first sign."),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::CommandAndControl,
        name: "A machine takes orders",
        tasks: &[
            ("find out", "What makes the connection?", "The process behind it, its parent, and when it began."),
            (
                "find out",
                "Who else talks to that destination?",
                "Search flows for the address, network and certificate.",
            ),
            ("contain", "Block the destination everywhere", "Address and name; add them as indicators."),
            ("contain", "Isolate the machine", "Keep it switched on where memory is evidence."),
            ("find out", "What left the machine?", "Bytes out since the first beacon, and to where."),
            ("remove", "Rebuild, and change secrets", "Everything that was stored on or typed into it."),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::Exfiltration,
        name: "Data leaves",
        tasks: &[
            ("find out", "What is the destination?", "A backup or a cloud service in use is benign."),
            (
                "find out",
                "What was sent, and how much?",
                "Bytes out by hour; which shares and databases the machine reached.",
            ),
            ("contain", "Stop the transfer", "Block the destination, isolate the source."),
            (
                "find out",
                "Whose data is it?",
                "Personal data may have to be reported within 72 hours (GDPR, article 33).",
            ),
            ("contain", "Tell whoever must know", "Data protection officer, management, customers."),
            ("remove", "Close the way out", "Rights, shares, rules of firewalls and proxies."),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::DenialOfService,
        name: "A service is flooded",
        tasks: &[
            ("find out", "Is the service still answering?", "From outside, as its users see it."),
            ("find out", "What sort of flood is it?", "Protocol, ports, packet sizes, number of sources."),
            (
                "contain",
                "Filter at the edge or ask the provider",
                "Rate limits, SYN cookies, black hole as the last way.",
            ),
            ("contain", "Look behind the smoke", "Floods hide other attacks: check the alerts of the same hours."),
            ("recover", "Take filters back step by step", "When traffic has been usual for a day."),
            LEARN,
        ],
    },
    Shipped {
        kind: IncidentKind::Policy,
        name: "A rule of the house was broken",
        tasks: &[
            ("find out", "Talk to whoever it concerns", "Most breaches are mistakes or needs that nobody met."),
            ("find out", "Is the rule right?", "A rule that everybody breaks needs a change or a better way."),
            ("remove", "Put it right", "Remove the service, software or access, or record an exception with an end."),
            LEARN,
        ],
    },
];

/// Minutes after which the tasks of a phase are due.
fn due_minutes(phase: &str) -> Option<u32> {
    match phase {
        "find out" => Some(4 * 60),
        "contain" => Some(8 * 60),
        "remove" => Some(3 * 24 * 60),
        "recover" => Some(7 * 24 * 60),
        "learn" => Some(14 * 24 * 60),
        _ => None,
    }
}

/// The templates that ship, as a tenant sees them. Their ids never change.
pub fn shipped(tenant: TenantId) -> Vec<IncidentTemplate> {
    let task = |(phase, title, how): &Task| TemplateTask {
        phase: (*phase).into(),
        title: (*title).into(),
        description: (*how).into(),
        due_minutes: due_minutes(phase),
    };
    SHIPPED
        .iter()
        .zip(1_u128..)
        .map(|(one, n)| IncidentTemplate {
            id: Uuid::from_u128(0x0000_0000_0000_7000_8000_0001_0000_0000 + n),
            tenant,
            version: 0,
            draft: TemplateDraft { name: one.name.into(), kind: one.kind, tasks: one.tasks.iter().map(task).collect() },
            author: "Guardian".into(),
            updated: Micros(0),
        })
        .collect()
}

/// The templates of a tenant: its own, and the shipped ones that it has not replaced; by name.
pub fn all(tenant: TenantId, own: Vec<IncidentTemplate>) -> Vec<IncidentTemplate> {
    let mut all = own;
    let known: Vec<Uuid> = all.iter().map(|t| t.id).collect();
    all.extend(shipped(tenant).into_iter().filter(|t| !known.contains(&t.id)));
    all.sort_by(|a, b| (a.draft.kind, &a.draft.name).cmp(&(b.draft.kind, &b.draft.name)));
    all
}

/// The tasks of a template that is used at `now`.
pub fn tasks(template: &IncidentTemplate, now: Micros) -> Vec<NewTask> {
    let task = |t: &TemplateTask| NewTask {
        phase: t.phase.clone(),
        title: t.title.clone(),
        description: t.description.clone(),
        assignee: None,
        due: t.due_minutes.map(|m| now + i64::from(m) * Micros::MINUTE),
    };
    template.draft.tasks.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use guardian_catalog::IncidentKind;
    use guardian_model::TenantId;

    use super::{all, due_minutes, shipped};

    #[test]
    fn every_kind_has_a_template_whose_phases_have_a_time() {
        let shipped = shipped(TenantId::DEFAULT);
        for kind in IncidentKind::ALL {
            assert_eq!(shipped.iter().filter(|t| t.draft.kind == *kind).count(), 1, "{kind}");
        }
        for task in shipped.iter().flat_map(|t| &t.draft.tasks) {
            assert!(due_minutes(&task.phase).is_some(), "{}: {}", task.phase, task.title);
        }
    }

    #[test]
    fn an_own_template_takes_the_place_of_a_shipped_one() {
        let mut own = shipped(TenantId::DEFAULT)[0].clone();
        own.version = 3;
        own.draft.name = "Ours".into();
        let listed = all(TenantId::DEFAULT, vec![own.clone()]);
        assert_eq!(listed.len(), shipped(TenantId::DEFAULT).len());
        assert_eq!(listed.iter().filter(|t| t.id == own.id).map(|t| t.version).collect::<Vec<_>>(), [3]);
    }
}
