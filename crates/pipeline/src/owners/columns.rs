//! From columns of connections to the table, and from the table to columns of flows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, PrimitiveArray,
    StringArray, UInt32Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use guardian_model::{FLOW, FlowField, Ip};
use hashbrown::HashMap;

use super::table::{End, Ends, Process, Table, Told};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The label of the first row.
pub(super) fn label<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a str> {
    text(rows.column_by_name(name)?, 0)
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    if row >= column.len() || column.is_null(row) {
        return None;
    }
    if let Some(labels) = column.as_dictionary_opt::<Int32Type>() {
        return Some(labels.values().as_string_opt::<i32>()?.value(labels.key(row)?));
    }
    Some(column.as_string_opt::<i32>()?.value(row))
}

fn at<T: ArrowPrimitiveType>(column: Option<&PrimitiveArray<T>>, row: usize) -> Option<T::Native> {
    column.filter(|c| c.is_valid(row)).map(|c| c.value(row))
}

fn ip_at(column: &FixedSizeBinaryArray, row: usize) -> Option<Ip> {
    column.is_valid(row).then(|| column.value(row).try_into().ok().map(Ip)).flatten()
}

/// The columns of connections that matter here.
pub(super) struct Seen<'a> {
    rows: &'a RecordBatch,
    activity: &'a ArrayRef,
    protocol: &'a PrimitiveArray<UInt8Type>,
    source: (&'a FixedSizeBinaryArray, &'a PrimitiveArray<UInt16Type>),
    destination: (&'a FixedSizeBinaryArray, &'a PrimitiveArray<UInt16Type>),
    initiated: &'a BooleanArray,
    time: &'a PrimitiveArray<TimestampMicrosecondType>,
    received: &'a PrimitiveArray<TimestampMicrosecondType>,
}

impl<'a> Seen<'a> {
    /// The columns, if they are there and of the right kind.
    pub(super) fn of(rows: &'a RecordBatch) -> Option<Self> {
        let column = |name: &str| rows.column_by_name(name);
        let end = |ip: &str, port: &str| {
            Some((column(ip)?.as_fixed_size_binary_opt()?, column(port)?.as_primitive_opt::<UInt16Type>()?))
        };
        Some(Self {
            rows,
            activity: column("activity")?,
            protocol: column("protocol")?.as_primitive_opt()?,
            source: end("src_ip", "src_port")?,
            destination: end("dst_ip", "dst_port")?,
            initiated: column("initiated")?.as_boolean_opt()?,
            time: column("time")?.as_primitive_opt()?,
            received: column("received")?.as_primitive_opt()?,
        })
    }

    /// Tells the table of each.
    pub(super) fn each(&self, table: &mut Table) {
        for row in 0..self.rows.num_rows() {
            if let Some(told) = self.row(row) {
                table.tell(told);
            }
        }
    }

    fn row(&self, row: usize) -> Option<Told> {
        let end = |(ip, port): (&FixedSizeBinaryArray, &PrimitiveArray<UInt16Type>)| -> Option<End> {
            Some((ip_at(ip, row)?, at(Some(port), row)?))
        };
        let destination = end(self.destination)?;
        let (local, remote, ends) = match text(self.activity, row)? {
            "listen" => (destination, None, false),
            "unlisten" => (destination, None, true),
            activity => {
                let source = end(self.source)?;
                let here = self.initiated.is_null(row) || self.initiated.value(row);
                let (local, remote) = if here { (source, destination) } else { (destination, source) };
                (local, Some(remote), activity == "close")
            }
        };
        let of = |name: &str| self.rows.column_by_name(name).and_then(|c| text(c, row)).map(str::to_owned);
        let column = |name: &str| self.rows.column_by_name(name);
        let time = |name: &str| at(column(name).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()), row);
        let happened = self.time.value(row);
        let by = Process {
            host: of("host").unwrap_or_default(),
            host_id: of("host_id").unwrap_or_default(),
            boot: of("boot").unwrap_or_default(),
            start_ticks: at(column("start_ticks").and_then(|c| c.as_primitive_opt::<UInt64Type>()), row),
            pid: at(column("pid").and_then(|c| c.as_primitive_opt::<UInt32Type>()), row),
            program: of("image").or_else(|| of("name")),
            user: of("user"),
        };
        Some(Told {
            protocol: at(Some(self.protocol), row)?,
            local,
            remote,
            start: time("start").unwrap_or(happened),
            end: ends.then(|| time("end").unwrap_or(happened)),
            by,
            received: self.received.value(row),
        })
    }
}

/// Processes that a batch names, each once; 0 stands for none.
#[derive(Default)]
struct Named<'a> {
    all: Vec<&'a Process>,
    places: HashMap<*const Process, u32>,
}

impl<'a> Named<'a> {
    fn number(&mut self, process: &'a Arc<Process>) -> u32 {
        let next = self.all.len() as u32 + 1;
        let number = *self.places.entry(Arc::as_ptr(process)).or_insert(next);
        if number == next {
            self.all.push(process);
        }
        number
    }

    fn labels(&self, rows: &[u32], value: impl Fn(&'a Process) -> Option<&'a str>) -> ArrayRef {
        let (mut words, mut places) = (Vec::new(), HashMap::new());
        let word_of: Vec<Option<i32>> = self
            .all
            .iter()
            .map(|process| {
                value(process).map(|word| {
                    *places.entry(word).or_insert_with(|| {
                        words.push(word);
                        words.len() as i32 - 1
                    })
                })
            })
            .collect();
        if words.is_empty() {
            words.push("");
        }
        let key = |row: &u32| row.checked_sub(1).and_then(|at| word_of[at as usize]);
        let keys = Int32Array::from_iter(rows.iter().map(key));
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(words)) as ArrayRef))
    }

    fn of(&self, row: u32) -> Option<&'a Process> {
        row.checked_sub(1).map(|at| self.all[at as usize])
    }
}

fn ips(rows: &RecordBatch, field: FlowField) -> Option<&FixedSizeBinaryArray> {
    rows.column(field.index()).as_fixed_size_binary_opt()
}

fn primitive<T: ArrowPrimitiveType>(rows: &RecordBatch, field: FlowField) -> Option<&PrimitiveArray<T>> {
    rows.column(field.index()).as_primitive_opt()
}

/// The flows of a batch, as far as they are asked for.
struct Flows<'a> {
    ip: [&'a [[u8; 16]]; 2],
    port: [&'a [u16]; 2],
    nat_ip: [&'a FixedSizeBinaryArray; 2],
    nat_port: [&'a PrimitiveArray<UInt16Type>; 2],
    translated: bool,
    protocol: &'a [u8],
    start: &'a [i64],
    end: &'a [i64],
}

impl<'a> Flows<'a> {
    fn of(rows: &'a RecordBatch) -> Option<Self> {
        if rows.num_columns() != FLOW.fields.len() {
            return None;
        }
        let addresses = |field| Some(ips(rows, field)?.value_data().as_chunks::<16>().0);
        let ports = |field| Some(&primitive::<UInt16Type>(rows, field)?.values()[..]);
        let times = |field| Some(&primitive::<TimestampMicrosecondType>(rows, field)?.values()[..]);
        let nat_ip = [ips(rows, FlowField::NatSrcIp)?, ips(rows, FlowField::NatDstIp)?];
        let nat_port = [primitive(rows, FlowField::NatSrcPort)?, primitive(rows, FlowField::NatDstPort)?];
        let known = |column: &dyn Array| column.null_count() < column.len();
        Some(Self {
            ip: [addresses(FlowField::SrcIp)?, addresses(FlowField::DstIp)?],
            port: [ports(FlowField::SrcPort)?, ports(FlowField::DstPort)?],
            translated: nat_ip.iter().any(|c| known(c)) || nat_port.iter().any(|c| known(c)),
            nat_ip,
            nat_port,
            protocol: &primitive::<UInt8Type>(rows, FlowField::Protocol)?.values()[..],
            start: times(FlowField::Start)?,
            end: times(FlowField::End)?,
        })
    }

    fn end(&self, side: usize, row: usize) -> End {
        (Ip(self.ip[side][row]), self.port[side][row])
    }

    /// The end as it is behind the translation.
    fn nat_end(&self, side: usize, row: usize) -> End {
        let ip = ip_at(self.nat_ip[side], row).unwrap_or(Ip(self.ip[side][row]));
        (ip, at(Some(self.nat_port[side]), row).unwrap_or(self.port[side][row]))
    }

    fn holder<'t>(&self, table: &'t Table, side: usize, row: usize) -> Option<&'t Arc<Process>> {
        let (start, end) = (self.start[row], self.end[row]);
        let ask = |local: End, remote: End| {
            table
                .knows(local.0)
                .then(|| table.holder(&Ends { protocol: self.protocol[row], local, remote }, start, end))?
        };
        let other = 1 - side;
        let plain = ask(self.end(side, row), self.end(other, row));
        if plain.is_some() || !self.translated {
            return plain;
        }
        // Each side may have been translated alone.
        let (local, remote) = (self.nat_end(side, row), self.nat_end(other, row));
        ask(local, remote).or_else(|| ask(self.end(side, row), remote)).or_else(|| ask(local, self.end(other, row)))
    }
}

/// The rows with their processes; none where nobody is known.
pub(super) fn fill(table: &Table, rows: &RecordBatch) -> Option<RecordBatch> {
    use FlowField as F;
    let flows = Flows::of(rows)?;
    let mut named = Named::default();
    let mut sides: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
    for row in 0..rows.num_rows() {
        if flows.protocol[row] != TCP && flows.protocol[row] != UDP {
            continue;
        }
        for (side, numbers) in sides.iter_mut().enumerate() {
            if let Some(process) = flows.holder(table, side, row) {
                // Most batches name nobody, and need no memory for it.
                numbers.resize(rows.num_rows(), 0);
                numbers[row] = named.number(process);
            }
        }
    }
    if named.all.is_empty() {
        return None;
    }
    let mut columns = rows.columns().to_vec();
    let fields = [
        (F::SrcHostname, F::SrcProcess, F::SrcPid, F::SrcUser),
        (F::DstHostname, F::DstProcess, F::DstPid, F::DstUser),
    ];
    for (numbers, (host, program, pid, user)) in sides.iter().zip(fields) {
        if numbers.is_empty() {
            continue;
        }
        columns[host.index()] = named.labels(numbers, |p| Some(p.host.as_str()));
        columns[program.index()] = named.labels(numbers, |p| p.program.as_deref());
        columns[pid.index()] =
            Arc::new(UInt32Array::from_iter(numbers.iter().map(|n| named.of(*n).and_then(|p| p.pid))));
        let users = numbers.iter().map(|n| named.of(*n).and_then(|p| p.user.as_deref()));
        columns[user.index()] = Arc::new(StringArray::from_iter(users));
    }
    // Only columns of the class were replaced, by columns of the same type and length.
    RecordBatch::try_new(rows.schema(), columns).ok()
}
