//! SQL functions for addresses: `ip('10.0.0.1')`, `mac('…')`, `ip_text(src_ip)`, `in_cidr(src_ip, '10.0.0.0/8')`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use guardian_model::Ip;

/// The Arrow type of addresses.
pub(crate) const IP: DataType = DataType::FixedSizeBinary(16);
/// The Arrow type of MAC addresses.
pub(crate) const MAC: DataType = DataType::FixedSizeBinary(6);

/// All functions, in the order in which they are documented.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    [Task::Ip, Task::Mac, Task::IpText, Task::InCidr].map(|task| Arc::new(ScalarUDF::from(Function::new(task)))).into()
}

/// Name of [`in_cidr`](Task::InCidr).
pub(crate) const IN_CIDR: &str = "in_cidr";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    Ip,
    Mac,
    IpText,
    InCidr,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    task: Task,
    signature: Signature,
}

impl Function {
    fn new(task: Task) -> Self {
        let signature = match task {
            Task::Ip | Task::Mac => Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
            Task::IpText => Signature::exact(vec![IP], Volatility::Immutable),
            Task::InCidr => Signature::exact(vec![IP, DataType::Utf8], Volatility::Immutable),
        };
        Self { task, signature }
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match self.task {
            Task::Ip => "ip",
            Task::Mac => "mac",
            Task::IpText => "ip_text",
            Task::InCidr => IN_CIDR,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.task {
            Task::Ip => IP,
            Task::Mac => MAC,
            Task::IpText => DataType::Utf8,
            Task::InCidr => DataType::Boolean,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let first = array(&args.args, 0, rows)?;
        let result: ArrayRef = match self.task {
            Task::Ip => parsed::<16>(&first, |text| text.parse::<Ip>().ok().map(|ip| ip.0))?,
            Task::Mac => parsed::<6>(&first, parse_mac)?,
            Task::IpText => ip_text(&first)?,
            Task::InCidr => in_cidr(&first, &array(&args.args, 1, rows)?)?,
        };
        if scalar { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)) } else { Ok(result.into()) }
    }
}

fn array(args: &[ColumnarValue], at: usize, rows: usize) -> Result<ArrayRef> {
    match args.get(at) {
        Some(value) => value.clone().into_array(rows),
        None => exec_err!("an argument is missing"),
    }
}

fn fixed(column: &ArrayRef) -> Result<&FixedSizeBinaryArray> {
    match column.as_fixed_size_binary_opt() {
        Some(array) => Ok(array),
        None => exec_err!("{} is not an address", column.data_type()),
    }
}

fn text(column: &ArrayRef) -> Result<&StringArray> {
    match column.as_string_opt::<i32>() {
        Some(array) => Ok(array),
        None => exec_err!("{} is not text", column.data_type()),
    }
}

fn parsed<const N: usize>(column: &ArrayRef, parse: impl Fn(&str) -> Option<[u8; N]>) -> Result<ArrayRef> {
    let values = text(column)?.iter().map(|t| t.and_then(&parse));
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, N as i32)?))
}

fn ip_of(bytes: &[u8]) -> Option<Ip> {
    bytes.try_into().ok().map(Ip)
}

fn ip_text(column: &ArrayRef) -> Result<ArrayRef> {
    let values = fixed(column)?.iter().map(|b| b.and_then(ip_of).map(|ip| ip.to_string()));
    Ok(Arc::new(values.collect::<StringArray>()))
}

fn in_cidr(column: &ArrayRef, networks: &ArrayRef) -> Result<ArrayRef> {
    let mut last: Option<(&str, Option<(Ip, Ip)>)> = None;
    let rows = fixed(column)?.iter().zip(text(networks)?.iter()).map(|(address, network)| {
        let (address, network) = (ip_of(address?)?, network?);
        let range = match last {
            Some((text, range)) if text == network => range,
            _ => parse_cidr(network),
        };
        last = Some((network, range));
        range.map(|(low, high)| low <= address && address <= high)
    });
    Ok(Arc::new(rows.collect::<BooleanArray>()))
}

/// First and last address of `10.0.0.0/8`, or of a single address. Mapped IPv4 keeps the order of IPv4.
pub(crate) fn parse_cidr(text: &str) -> Option<(Ip, Ip)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let ip: Ip = address.trim().parse().ok()?;
    let width = if ip.is_v4() && !address.contains(':') { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    if bits > width {
        return None;
    }
    let hosts = width - bits;
    let mask = if hosts == 128 { u128::MAX } else { (1_u128 << hosts) - 1 };
    let value = u128::from_be_bytes(ip.0);
    Some((Ip((value & !mask).to_be_bytes()), Ip((value | mask).to_be_bytes())))
}

/// `aa:bb:cc:dd:ee:ff`, with colons, dashes or dots, or none.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() != 12 || !digits.is_ascii() {
        return None;
    }
    let mut mac = [0; 6];
    for (i, byte) in mac.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::{parse_cidr, parse_mac};

    #[test]
    fn networks_are_ranges() {
        let cases = [
            ("10.1.2.3/8", Some(("10.0.0.0", "10.255.255.255"))),
            ("10.1.2.3", Some(("10.1.2.3", "10.1.2.3"))),
            ("0.0.0.0/0", Some(("0.0.0.0", "255.255.255.255"))),
            ("2001:db8::/32", Some(("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))),
            ("10.0.0.0/33", None),
            ("ten/8", None),
        ];
        for (text, expected) in cases {
            let range = parse_cidr(text).map(|(low, high)| (low.to_string(), high.to_string()));
            let expected = expected.map(|(low, high)| (low.to_owned(), high.to_owned()));
            assert_eq!(range, expected, "{text}");
        }
    }

    #[test]
    fn macs_are_read_in_every_notation() {
        for text in ["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E", "001a.2b3c.4d5e", "001a2b3c4d5e"] {
            assert_eq!(parse_mac(text), Some([0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e]), "{text}");
        }
        assert_eq!(parse_mac("00:1a:2b"), None);
    }
}
