//! The program from outside: what a user types, sees, and can rely on.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests talk to a server of their own, and to its clock"
)]

mod access;
mod app;
mod attacks;
mod backup;
mod bad_input;
mod baselines;
mod capture;
mod carves;
mod certificates;
mod chaos;
mod crash;
mod encryption;
mod enrich;
mod evidence;
mod exporters;
mod first_minutes;
mod fleet;
mod headers;
mod host_comparison;
mod hosts;
mod http;
mod images;
mod incidents;
mod integrity;
mod live;
mod live_query;
mod notify;
mod oidc;
mod osquery;
mod overview;
mod personal;
mod pipelines;
mod policy;
mod receivers;
mod reference;
mod registry;
mod rule_tuning;
mod rules;
mod triage;
mod upgrade;
mod vulndb;
mod vulnerabilities;
mod walk;
mod wire;
