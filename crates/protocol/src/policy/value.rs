//! A document as a list of values with dotted names: what merging, and telling where each value comes from, are made of.

use super::{
    Document, DropOrder, Files, Intervals, Limits, LogFile, Offline, PathSet, ScheduledQuery, Sources, Spool, Window,
};

/// One value of a document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// A switch.
    Switch(bool),
    /// A number.
    Number(u32),
    /// What goes when the spool is full.
    Drop(DropOrder),
    /// A set of paths.
    Paths(&'a PathSet),
    /// A log file.
    Log(&'a LogFile),
    /// A query that is asked again and again.
    Query(&'a ScheduledQuery),
    /// A time of maintenance.
    Window(&'a Window),
}

/// Names of the values that there is one of.
pub const LEAVES: &[&str] = &[
    "sources.processes",
    "sources.forks",
    "sources.connections",
    "sources.logs",
    "sources.files",
    "sources.health",
    "sources.inventory",
    "intervals.heartbeat_s",
    "intervals.health_s",
    "intervals.connections_s",
    "files.scan_mib_per_s",
    "files.scan_every_h",
    "files.hash_mib_max",
    "spool.mib_max",
    "spool.drop",
    "offline.alert",
    "offline.delay_s",
    "limits.memory_mib",
    "limits.cpu_percent",
    "limits.io_mib_per_s",
];

impl Document {
    /// What an agent does where nobody says anything. How often it says that it is there is the server's matter.
    pub fn defaults() -> Self {
        let on = Some(true);
        Self {
            sources: Sources {
                processes: on,
                forks: Some(false),
                connections: on,
                logs: on,
                files: on,
                health: on,
                inventory: on,
            },
            intervals: Intervals { heartbeat_s: None, health_s: Some(15), connections_s: Some(1) },
            files: Files {
                scan_mib_per_s: Some(32),
                scan_every_h: Some(24),
                hash_mib_max: Some(0),
                ..Files::default()
            },
            spool: Spool { mib_max: Some(512), drop: Some(DropOrder::Oldest) },
            offline: Offline { alert: on, delay_s: Some(0) },
            limits: Limits { memory_mib: Some(512), cpu_percent: Some(100), io_mib_per_s: Some(0) },
            ..Self::default()
        }
    }

    /// What this document says: dotted names with their values, in order.
    pub fn said(&self) -> Vec<(String, Value<'_>)> {
        let switches = [
            self.sources.processes,
            self.sources.forks,
            self.sources.connections,
            self.sources.logs,
            self.sources.files,
            self.sources.health,
            self.sources.inventory,
        ];
        let numbers = [
            self.intervals.heartbeat_s,
            self.intervals.health_s,
            self.intervals.connections_s,
            self.files.scan_mib_per_s,
            self.files.scan_every_h,
            self.files.hash_mib_max,
            self.spool.mib_max,
        ];
        let first = switches.into_iter().map(|s| s.map(Value::Switch));
        let second = numbers.into_iter().map(|n| n.map(Value::Number));
        let rest = [
            self.spool.drop.map(Value::Drop),
            self.offline.alert.map(Value::Switch),
            self.offline.delay_s.map(Value::Number),
            self.limits.memory_mib.map(Value::Number),
            self.limits.cpu_percent.map(Value::Number),
            self.limits.io_mib_per_s.map(Value::Number),
        ];
        let leaves = LEAVES.iter().zip(first.chain(second).chain(rest));
        let mut said: Vec<_> = leaves.filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect();
        said.extend(self.files.sets.iter().map(|(name, set)| (format!("files.sets.{name}"), Value::Paths(set))));
        said.extend(self.logs.follow.iter().map(|(name, file)| (format!("logs.follow.{name}"), Value::Log(file))));
        said.extend(self.queries.iter().map(|(name, query)| (format!("queries.{name}"), Value::Query(query))));
        said.extend(self.maintenance.iter().map(|(name, one)| (format!("maintenance.{name}"), Value::Window(one))));
        said
    }

    /// Adds what a later document says: its values replace those of the same name.
    pub fn add(&mut self, later: &Self) {
        let (s, l) = (&mut self.sources, &later.sources);
        put(&mut s.processes, l.processes);
        put(&mut s.forks, l.forks);
        put(&mut s.connections, l.connections);
        put(&mut s.logs, l.logs);
        put(&mut s.files, l.files);
        put(&mut s.health, l.health);
        put(&mut s.inventory, l.inventory);
        let (s, l) = (&mut self.intervals, &later.intervals);
        put(&mut s.heartbeat_s, l.heartbeat_s);
        put(&mut s.health_s, l.health_s);
        put(&mut s.connections_s, l.connections_s);
        let (s, l) = (&mut self.files, &later.files);
        put(&mut s.scan_mib_per_s, l.scan_mib_per_s);
        put(&mut s.scan_every_h, l.scan_every_h);
        put(&mut s.hash_mib_max, l.hash_mib_max);
        put(&mut self.spool.mib_max, later.spool.mib_max);
        put(&mut self.spool.drop, later.spool.drop);
        put(&mut self.offline.alert, later.offline.alert);
        put(&mut self.offline.delay_s, later.offline.delay_s);
        let (s, l) = (&mut self.limits, &later.limits);
        put(&mut s.memory_mib, l.memory_mib);
        put(&mut s.cpu_percent, l.cpu_percent);
        put(&mut s.io_mib_per_s, l.io_mib_per_s);
        let named = |(name, value): (&String, &PathSet)| (name.clone(), value.clone());
        self.files.sets.extend(later.files.sets.iter().map(named));
        self.logs.follow.extend(later.logs.follow.iter().map(|(name, file)| (name.clone(), file.clone())));
        self.queries.extend(later.queries.iter().map(|(name, query)| (name.clone(), query.clone())));
        self.maintenance.extend(later.maintenance.iter().map(|(name, one)| (name.clone(), one.clone())));
    }
}

fn put<T>(value: &mut Option<T>, later: Option<T>) {
    if later.is_some() {
        *value = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value has another number or state than the others, so that a mix-up shows.
    fn full() -> Document {
        let text = r#"{
            "sources": {"processes": true, "forks": true, "connections": false, "logs": true, "files": false, "health": true, "inventory": false},
            "intervals": {"heartbeat_s": 1, "health_s": 2, "connections_s": 3},
            "files": {"sets": {"web": {"roots": ["/srv"], "rules": [{"path": "/srv/log", "watch": []}]}},
                "scan_mib_per_s": 4, "scan_every_h": 5, "hash_mib_max": 6},
            "spool": {"mib_max": 8, "drop": "newest"},
            "logs": {"follow": {"nginx": {"path": "/var/log/nginx/error.log", "form": "syslog"}}},
            "queries": {"root": {"sql": "SELECT 1", "every_s": 60, "answer": "snapshot"}},
            "maintenance": {"night": {"weekly": {"days": ["sat"], "start": "22:30", "minutes": 60, "utc_offset_minutes": 0}}},
            "offline": {"alert": true, "delay_s": 9},
            "limits": {"memory_mib": 100, "cpu_percent": 10, "io_mib_per_s": 11}
        }"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_value_has_its_name() {
        let document = full();
        let json = serde_json::to_value(&document).unwrap();
        let said = document.said();
        assert_eq!(said.len(), LEAVES.len() + 4);
        for (name, value) in said {
            let written = name.split('.').fold(&json, |at, part| &at[part]);
            assert_eq!(*written, serde_json::to_value(value).unwrap(), "{name}");
        }
        let mut merged = Document::default();
        merged.add(&document);
        assert_eq!(merged, document, "nothing is forgotten");
        assert!(merged.problems().is_empty(), "{:?}", merged.problems());
        let defaults = Document::defaults();
        let said: Vec<_> = defaults.said().into_iter().map(|(name, _)| name).collect();
        let usual: Vec<_> = LEAVES.iter().copied().filter(|name| *name != "intervals.heartbeat_s").collect();
        assert_eq!(said, usual, "all but the heartbeat has a default");
    }

    #[test]
    fn later_values_replace_earlier_ones_by_name() {
        let mut document = full();
        let later = r#"{"intervals": {"health_s": 60}, "files": {"sets": {"db": {"roots": ["/db"]}, "web": {"enabled": false}}}}"#;
        let later: Document = serde_json::from_str(later).unwrap();
        document.add(&later);
        assert_eq!((document.intervals.health_s, document.intervals.heartbeat_s), (Some(60), Some(1)));
        assert_eq!(document.files.sets.keys().collect::<Vec<_>>(), ["db", "web"]);
        assert!(!document.files.sets["web"].is_on() && document.files.sets["web"].roots.is_empty());
        let refused = serde_json::from_str::<Document>(r#"{"files": {"scan_rate": 3}}"#).unwrap_err().to_string();
        assert!(refused.contains("unknown field `scan_rate`"), "{refused}");
    }
}
