//! Minute roll-ups: beside every Parquet file of flows stands a small file with its sums by minute of receipt and a
//! few columns of low cardinality, which the planner reads instead where the answer is the same.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt64Array,
};
use arrow::datatypes::{
    DataType, Field, Int32Type, Schema, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, FLOW, FlowField, Micros};
use hashbrown::HashMap;

use super::parquet_file::{FileWriter, Sealing, Written, base_properties};
use crate::LakeError;

/// Columns of flows that roll-ups are grouped by, beside the minute in `received`.
pub(crate) const KEYS: [&str; 6] = ["site", "source", "exporter", "protocol", "direction", "replay"];
/// Columns of flows that roll-ups sum.
pub(crate) const SUMS: [&str; 4] = ["bytes", "packets", "rev_bytes", "rev_packets"];
/// Column that counts the rows.
pub(crate) const ROWS: &str = "rows";

/// Labels and exporters that one file's roll-up tells apart; with more the file has none.
const NAMES_MAX: usize = u16::MAX as usize;
/// Groups of one file's roll-up; with more the file has none.
const GROUPS_MAX: usize = 1 << 16;

const LABELS: [FlowField; 4] = [FlowField::Site, FlowField::Source, FlowField::Direction, FlowField::Replay];

/// The schema of roll-up files.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let build = || {
        let flows = FLOW.schema();
        let names = ["received"].iter().chain(&KEYS).chain(&SUMS);
        let mut fields: Vec<_> = names.filter_map(|name| flows.field_with_name(name).ok().cloned()).collect();
        fields.push(Field::new(ROWS, DataType::UInt64, false));
        Arc::new(Schema::new(fields))
    };
    Arc::clone(SCHEMA.get_or_init(build))
}

/// The roll-up of one file, as its rows go by.
#[derive(Debug, Default)]
pub(crate) struct Rollup {
    minutes: Vec<i64>,
    exporters: Vec<[u8; 16]>,
    names: Vec<String>,
    groups: HashMap<u128, usize, foldhash::fast::FixedState>,
    keys: Vec<u128>,
    sums: Vec<Sums>,
    /// There are too many groups to be worth it.
    given_up: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    rows: u64,
    bytes: u64,
    packets: u64,
    rev_bytes: Option<u64>,
    rev_packets: Option<u64>,
}

/// What a row's group is made of; packed into one number. Labels count from 1, 0 is null.
#[derive(Clone, Copy, Default)]
struct Parts {
    minute: u16,
    exporter: u16,
    protocol: u8,
    labels: [u16; 4],
}

impl Parts {
    fn pack(self) -> u128 {
        let head = (u128::from(self.minute) << 24) | (u128::from(self.exporter) << 8) | u128::from(self.protocol);
        self.labels.iter().fold(head, |key, label| (key << 16) | u128::from(*label))
    }

    fn unpack(key: u128) -> Self {
        let label = |i: u32| (key >> (16 * (3 - i))) as u16;
        let head = key >> 64;
        Self {
            minute: (head >> 24) as u16,
            exporter: (head >> 8) as u16,
            protocol: head as u8,
            labels: [label(0), label(1), label(2), label(3)],
        }
    }
}

impl Rollup {
    /// A roll-up for files of this class, if it has them.
    pub(crate) fn of(class: &Class) -> Option<Self> {
        (class.name == FLOW.name).then(Self::default)
    }

    /// Adds rows of the class.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        if !self.given_up {
            self.given_up = self.try_add(rows)?.is_none();
        }
        Ok(())
    }

    fn try_add(&mut self, rows: &RecordBatch) -> Result<Option<()>, LakeError> {
        let column = |field: FlowField| rows.column(field.index());
        let wrong = || LakeError::Data("flows do not follow their class".into());
        let received = column(FlowField::Received).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
        let exporter = column(FlowField::Exporter).as_fixed_size_binary_opt().ok_or_else(wrong)?;
        let protocol = column(FlowField::Protocol).as_primitive_opt::<UInt8Type>().ok_or_else(wrong)?;
        let number = |field| column(field).as_primitive_opt::<UInt64Type>().ok_or_else(wrong);
        let (bytes, packets) = (number(FlowField::Bytes)?, number(FlowField::Packets)?);
        let (rev_bytes, rev_packets) = (number(FlowField::RevBytes)?, number(FlowField::RevPackets)?);
        let mut labels = Vec::with_capacity(LABELS.len());
        for field in LABELS {
            let column = column(field).as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
            let Some(numbers) = self.number_labels(column)? else { return Ok(None) };
            labels.push((column, numbers));
        }
        let exporters = exporter.value_data().as_chunks::<16>().0;
        let (mut last_minute, mut last_exporter) = ((i64::MIN, 0), (&[0; 16], None));
        let (mut last_key, mut last_group) = (u128::MAX, 0);
        for (row, exporter) in exporters.iter().enumerate() {
            let minute = Micros(received.value(row)).floor(Micros::MINUTE).0;
            if minute != last_minute.0 {
                let Some(number) = number_of(&mut self.minutes, &minute) else { return Ok(None) };
                last_minute = (minute, number);
            }
            if last_exporter.1.is_none() || exporter != last_exporter.0 {
                let Some(number) = number_of(&mut self.exporters, exporter) else { return Ok(None) };
                last_exporter = (exporter, Some(number));
            }
            let mut parts = Parts {
                minute: last_minute.1,
                exporter: last_exporter.1.unwrap_or(0),
                protocol: protocol.value(row),
                labels: [0; 4],
            };
            for (slot, (column, numbers)) in parts.labels.iter_mut().zip(&labels) {
                *slot = column.key(row).map_or(0, |key| numbers[key]);
            }
            let key = parts.pack();
            if key != last_key {
                let Some(group) = self.group(key) else { return Ok(None) };
                (last_key, last_group) = (key, group);
            }
            let sums = &mut self.sums[last_group];
            sums.rows += 1;
            sums.bytes = sums.bytes.wrapping_add(bytes.value(row));
            sums.packets = sums.packets.wrapping_add(packets.value(row));
            if rev_bytes.is_valid(row) {
                sums.rev_bytes = Some(sums.rev_bytes.unwrap_or(0).wrapping_add(rev_bytes.value(row)));
            }
            if rev_packets.is_valid(row) {
                sums.rev_packets = Some(sums.rev_packets.unwrap_or(0).wrapping_add(rev_packets.value(row)));
            }
        }
        Ok(Some(()))
    }

    fn group(&mut self, key: u128) -> Option<usize> {
        if let Some(group) = self.groups.get(&key) {
            return Some(*group);
        }
        let group = self.sums.len();
        if group >= GROUPS_MAX {
            return None;
        }
        self.groups.insert(key, group);
        self.keys.push(key);
        self.sums.push(Sums::default());
        Some(group)
    }

    /// The number of every value of a dictionary, from 1.
    fn number_labels(&mut self, column: &DictionaryArray<Int32Type>) -> Result<Option<Vec<u16>>, LakeError> {
        if column.null_count() == column.len() {
            return Ok(Some(Vec::new()));
        }
        let values = column.values().as_string_opt::<i32>();
        let values = values.ok_or_else(|| LakeError::Data("labels are not text".into()))?;
        let mut numbers = Vec::with_capacity(values.len());
        for value in values {
            let value = value.unwrap_or_default();
            let at = self.names.iter().position(|n| n == value);
            let at = at.unwrap_or_else(|| {
                self.names.push(value.to_owned());
                self.names.len() - 1
            });
            if at >= NAMES_MAX {
                return Ok(None);
            }
            numbers.push(at as u16 + 1);
        }
        Ok(Some(numbers))
    }

    /// Writes the file. `None` where there were too many groups to be worth one.
    pub(crate) fn write(self, target: &Path, sealing: Sealing) -> Result<Option<Written>, LakeError> {
        if self.given_up {
            return Ok(None);
        }
        let properties = base_properties(sealing).set_dictionary_enabled(true).build();
        let mut writer = FileWriter::create(target, &schema(), properties)?;
        writer.write(&self.into_batch()?)?;
        writer.finish(target, None).map(Some)
    }

    fn into_batch(self) -> Result<RecordBatch, LakeError> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by_key(|&i| (self.minutes[usize::from(Parts::unpack(self.keys[i]).minute)], i));
        let parts: Vec<Parts> = order.iter().map(|&i| Parts::unpack(self.keys[i])).collect();
        let sums: Vec<Sums> = order.iter().map(|&i| self.sums[i]).collect();
        let received = parts.iter().map(|p| self.minutes[usize::from(p.minute)]);
        let exporters: Vec<u8> = parts.iter().flat_map(|p| self.exporters[usize::from(p.exporter)]).collect();
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(&self.names));
        let label = |at: usize| -> Result<ArrayRef, LakeError> {
            let keys = parts.iter().map(|p| p.labels[at].checked_sub(1).map(i32::from)).collect();
            Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&names)).map_err(LakeError::data)?))
        };
        let exporters = FixedSizeBinaryArray::try_new(16, exporters.into(), None).map_err(LakeError::data)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(received).with_timezone("+00:00")),
            label(0)?,
            label(1)?,
            Arc::new(exporters),
            Arc::new(UInt8Array::from_iter_values(parts.iter().map(|p| p.protocol))),
            label(2)?,
            label(3)?,
            Arc::new(UInt64Array::from_iter_values(sums.iter().map(|s| s.bytes))),
            Arc::new(UInt64Array::from_iter_values(sums.iter().map(|s| s.packets))),
            Arc::new(sums.iter().map(|s| s.rev_bytes).collect::<UInt64Array>()),
            Arc::new(sums.iter().map(|s| s.rev_packets).collect::<UInt64Array>()),
            Arc::new(UInt64Array::from_iter_values(sums.iter().map(|s| s.rows))),
        ];
        RecordBatch::try_new(schema(), columns).map_err(LakeError::data)
    }
}

fn number_of<T: PartialEq + Copy>(known: &mut Vec<T>, value: &T) -> Option<u16> {
    let at = known.iter().rposition(|k| k == value).unwrap_or_else(|| {
        known.push(*value);
        known.len() - 1
    });
    u16::try_from(at).ok()
}
