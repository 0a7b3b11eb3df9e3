//! The agent's engines on real files.

#[path = "it/apart.rs"]
mod apart;
#[path = "it/audit.rs"]
mod audit;
#[path = "it/connections.rs"]
mod connections;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/files.rs"]
mod files;
#[path = "it/foreign.rs"]
mod foreign;
#[path = "it/inventory.rs"]
mod inventory;
#[path = "it/isolation.rs"]
mod isolation;
#[path = "it/logs.rs"]
mod logs;
#[path = "it/managers.rs"]
mod managers;
#[path = "it/orders.rs"]
mod orders;
#[path = "it/packages.rs"]
mod packages;
#[path = "it/processes.rs"]
mod processes;
#[path = "it/queries.rs"]
mod queries;
#[path = "it/response.rs"]
mod response;
#[path = "it/rows.rs"]
mod rows;
#[path = "it/spool.rs"]
mod spool;
#[path = "it/tunnels.rs"]
mod tunnels;
#[path = "it/upgrade.rs"]
mod upgrade;
