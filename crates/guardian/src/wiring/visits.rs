//! Who came to which host, out of the lake: what hosts themselves saw of their connections, and what exporters tell of flows
//! to them.

use std::time::Duration;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use async_trait::async_trait;
use guardian_findings::{Contact, Contacts, Place, Watcher};
use guardian_lake::{Lake, LakeError, QueryLimits};
use guardian_model::{Micros, Scope, TenantId};
use uuid::Uuid;

/// Rows of one answer: a host, a port, and from where.
const ROWS_MAX: usize = 200_000;
const TIME_MAX: Duration = Duration::from_secs(30);
/// Ports from here on are given to whoever asks for any: what comes to one is mostly the answer to a question.
const CLIENTS: u16 = 32_768;

/// Networks that are not of the internet: private, shared, link-local, loopback, and their like of IPv6.
const INNER: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::/127",
];

/// Asks the lake.
pub(super) struct LakeWatcher {
    lake: Lake,
}

impl LakeWatcher {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake }
    }

    async fn rows(&self, tenant: TenantId, sql: &str) -> Result<Vec<RecordBatch>, String> {
        self.ask(tenant, sql).await.map_err(|error| error.to_string())
    }

    async fn ask(&self, tenant: TenantId, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        let limits = QueryLimits { time: Some(TIME_MAX), rows: Some(ROWS_MAX), ..QueryLimits::default() };
        let (_, batches, _) = self.lake.query(&Scope::of(tenant), sql, limits).await?.collect_all().await?;
        Ok(batches)
    }
}

/// The rows that were received in a while, of live telemetry.
fn within(from: Micros, to: Micros) -> String {
    format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}' AND replay IS NULL")
}

/// Whether the source is of the internet.
fn internet() -> String {
    let inner = INNER.map(|network| format!("in_cidr(src_ip, '{network}')")).join(" OR ");
    format!("NOT ({inner})")
}

fn by_hosts(from: Micros, to: Micros) -> String {
    format!(
        "SELECT host_id AS host, protocol, dst_port AS port, {} AS internet, max(time) AS seen FROM connections \
         WHERE {} AND activity = 'open' AND initiated = false AND src_ip <> dst_ip AND host_id IS NOT NULL \
         GROUP BY 1, 2, 3, 4",
        internet(),
        within(from, to)
    )
}

fn by_flows(from: Micros, to: Micros) -> String {
    // A connection that was answered: whoever only knocks sends no acknowledgement.
    format!(
        "SELECT dst_hostname AS host, protocol, dst_port AS port, {} AS internet, max(received) AS seen FROM flows \
         WHERE {} AND dst_hostname IS NOT NULL AND src_ip <> dst_ip AND dst_port > 0 AND dst_port < {CLIENTS} \
         AND (protocol = 17 OR (protocol = 6 AND (tcp_flags & 16) <> 0)) GROUP BY 1, 2, 3, 4",
        internet(),
        within(from, to)
    )
}

fn watched(from: Micros, to: Micros) -> String {
    format!("SELECT DISTINCT host_id AS host FROM connections WHERE {} AND host_id IS NOT NULL", within(from, to))
}

/// The contacts of one answer; what does not have the form that was asked for is passed over.
fn read(rows: &RecordBatch, place: impl Fn(&str) -> Option<Place>) -> Option<Vec<Contact>> {
    let column = |name: &str, kind: &DataType| cast(rows.column_by_name(name)?, kind).ok();
    let host = column("host", &DataType::Utf8)?;
    let (protocol, port) = (column("protocol", &DataType::Int64)?, column("port", &DataType::Int64)?);
    let last = cast(&column("seen", &DataType::Timestamp(TimeUnit::Microsecond, None))?, &DataType::Int64).ok()?;
    let internet = column("internet", &DataType::Boolean)?;
    let (host, internet) = (host.as_string::<i32>(), internet.as_boolean());
    let [protocol, port, last] = [&protocol, &port, &last].map(|of| of.as_primitive::<Int64Type>());
    let contact = |at: usize| {
        let known = [host.is_valid(at), port.is_valid(at), last.is_valid(at), internet.is_valid(at)];
        let protocol = match protocol.value(at) {
            6 => "tcp",
            17 => "udp",
            _ => return None,
        };
        let port = u16::try_from(port.value(at)).ok().filter(|_| known.iter().all(|known| *known))?;
        let (host, last) = (place(host.value(at))?, Micros(last.value(at)));
        Some(Contact { host, protocol, port, internet: internet.value(at), last })
    };
    Some((0..rows.num_rows()).filter_map(contact).collect())
}

#[async_trait]
impl Watcher for LakeWatcher {
    async fn contacts(&self, tenant: TenantId, from: Micros, to: Micros) -> Result<Contacts, String> {
        let mut contacts = Contacts::default();
        for rows in self.rows(tenant, &by_hosts(from, to)).await? {
            contacts.came.extend(read(&rows, |id| Some(Place::Id(id.parse::<Uuid>().ok()?))).unwrap_or_default());
        }
        for rows in self.rows(tenant, &by_flows(from, to)).await? {
            contacts.came.extend(read(&rows, |name| Some(Place::Name(name.to_owned()))).unwrap_or_default());
        }
        for rows in self.rows(tenant, &watched(from, to)).await? {
            let host = rows.column_by_name("host").and_then(|host| cast(host, &DataType::Utf8).ok());
            let Some(host) = host else { continue };
            contacts.watched.extend(host.as_string::<i32>().iter().flatten().filter_map(|id| id.parse::<Uuid>().ok()));
        }
        Ok(contacts)
    }
}
