//! Cells as people see them: addresses, MACs and times as text, everything else as its natural JSON value.
//!
//! Works on any batch, also on query results, because the kind of a column travels in its field metadata.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value};

use crate::{Ip, Micros};

/// One cell as a JSON value. `None` is null. 16-byte binaries are addresses and 6-byte ones MACs; other bytes are
/// hexadecimal text; types that telemetry never has are named in angle brackets.
pub fn cell_json(column: &dyn Array, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => column.as_any().downcast_ref::<BooleanArray>()?.value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => f64::from(column.as_any().downcast_ref::<Float32Array>()?.value(row)).into(),
        DataType::Float64 => column.as_any().downcast_ref::<Float64Array>()?.value(row).into(),
        DataType::Decimal128(_, _) => column.as_any().downcast_ref::<Decimal128Array>()?.value_as_string(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Timestamp(unit, _) => time_json(column, *unit, row)?,
        DataType::FixedSizeBinary(16) => {
            let bytes = column.as_any().downcast_ref::<FixedSizeBinaryArray>()?.value(row);
            Ip(bytes.try_into().ok()?).to_string().into()
        }
        DataType::FixedSizeBinary(6) => {
            let bytes = column.as_any().downcast_ref::<FixedSizeBinaryArray>()?.value(row);
            hex(bytes, ":").into()
        }
        DataType::FixedSizeBinary(_) => {
            hex(column.as_any().downcast_ref::<FixedSizeBinaryArray>()?.value(row), "").into()
        }
        DataType::Binary => hex(column.as_binary::<i32>().value(row), "").into(),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let dictionary = column.as_dictionary::<Int32Type>();
            return cell_json(dictionary.values().as_ref(), dictionary.key(row)?);
        }
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            let key = dictionary.normalized_keys().get(row).copied()?;
            return cell_json(dictionary.values().as_ref(), key);
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|i| cell_json(list.as_ref(), i).unwrap_or(Value::Null)).collect()
        }
        other => format!("<{other}>").into(),
    })
}

/// One cell as text; null is the empty string.
pub fn cell_text(column: &dyn Array, row: usize) -> String {
    match cell_json(column, row) {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    }
}

/// One row as a JSON object; null columns are left out.
pub fn row_json(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema_ref();
    let cells = schema.fields().iter().zip(batch.columns());
    cells.filter_map(|(f, column)| Some((f.name().clone(), cell_json(column.as_ref(), row)?))).collect()
}

fn time_json(column: &dyn Array, unit: TimeUnit, row: usize) -> Option<Value> {
    use arrow::datatypes::{
        TimestampMicrosecondType as Us, TimestampMillisecondType as Ms, TimestampNanosecondType as Ns,
        TimestampSecondType as S,
    };
    let micros = match unit {
        TimeUnit::Second => Micros::from_secs(column.as_primitive_opt::<S>()?.value(row)),
        TimeUnit::Millisecond => Micros::from_millis(column.as_primitive_opt::<Ms>()?.value(row)),
        TimeUnit::Microsecond => Micros(column.as_primitive_opt::<Us>()?.value(row)),
        TimeUnit::Nanosecond => Micros(column.as_primitive_opt::<Ns>()?.value(row).div_euclid(1000)),
    };
    Some(micros.to_string().into())
}

fn hex(bytes: &[u8], separator: &str) -> String {
    let mut text = String::with_capacity(bytes.len() * (2 + separator.len()));
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, FixedSizeBinaryArray, UInt64Array};
    use arrow::datatypes::Int32Type;
    use arrow::record_batch::RecordBatch;

    use super::row_json;

    #[test]
    fn rows_read_as_people_write_them() {
        let ip: ArrayRef = Arc::new(
            FixedSizeBinaryArray::try_from_iter([crate::Ip::v4([10, 0, 0, 1]).0].iter()).expect("16 bytes each"),
        );
        let country: ArrayRef = Arc::new([Some("NZ")].into_iter().collect::<DictionaryArray<Int32Type>>());
        let none: ArrayRef = Arc::new(UInt64Array::from(vec![None]));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("src_ip", ip, false),
            ("country", country, true),
            ("rev_bytes", none, true),
        ])
        .expect("a batch");
        let row = serde_json::Value::Object(row_json(&batch, 0)).to_string();
        assert_eq!(row, r#"{"src_ip":"10.0.0.1","country":"NZ"}"#);
    }
}
