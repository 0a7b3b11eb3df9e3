//! The function that puts pseudonyms in the place of personal columns. Queries cannot name it: the scan applies it
//! directly above the rows.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Column, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, lit,
};
use guardian_model::{Class, Field, FindingField, Ip, Kind, Pseudonyms};
use hashbrown::HashMap;

/// How a column is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Manner {
    Address,
    Mac,
    /// The whole text is a name.
    Name,
    /// `name=value` pairs.
    Group,
    /// Addresses within the text.
    Text,
}

/// The function for this column; none if its kind cannot be masked, and it has to be hidden.
pub(crate) fn of(field: &Field, masks: &Arc<Pseudonyms>) -> Option<Arc<ScalarUDF>> {
    let named = |column: FindingField| guardian_model::FINDING.fields[column.index()].name == field.name;
    let manner = match field.kind {
        Kind::Ip => Manner::Address,
        Kind::Mac => Manner::Mac,
        Kind::Text if named(FindingField::Group) => Manner::Group,
        Kind::Text if named(FindingField::Summary) || named(FindingField::Measures) => Manner::Text,
        Kind::Text => Manner::Name,
        _ => return None,
    };
    let signature = Signature::any(1, Volatility::Immutable);
    Some(Arc::new(ScalarUDF::from(Function { manner, masks: Arc::clone(masks), signature })))
}

/// What holds for every row, as it is stored, whose pseudonyms meet a condition; none if nothing is known of it. An address
/// has one pseudonym, so that the search for one need not make those of all others.
pub(crate) fn stored(class: &Class, masks: &Pseudonyms, condition: &Expr) -> Option<Expr> {
    let address = |expr: &Expr| match expr {
        Expr::Column(column) => {
            let field = &class.fields[class.index_of(&column.name)?];
            (field.personal && field.kind == Kind::Ip).then(|| column.clone())
        }
        _ => None,
    };
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let sides = [stored(class, masks, left), stored(class, masks, right)];
            sides.into_iter().flatten().reduce(Expr::and)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(stored(class, masks, left)?.or(stored(class, masks, right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (address(left), address(right)) {
            (Some(column), None) => one_of(column, masks, [right.as_ref()]),
            (None, Some(column)) => one_of(column, masks, [left.as_ref()]),
            _ => None,
        },
        Expr::InList(InList { expr, list, negated: false }) => one_of(address(expr)?, masks, list),
        _ => None,
    }
}

/// That a stored address is one of those with these pseudonyms.
fn one_of<'a>(column: Column, masks: &Pseudonyms, pseudonyms: impl IntoIterator<Item = &'a Expr>) -> Option<Expr> {
    let mut stored = Vec::new();
    for pseudonym in pseudonyms {
        let Expr::Literal(ScalarValue::FixedSizeBinary(16, Some(bytes)), _) = pseudonym else { return None };
        let pseudonym = Ip(bytes.as_slice().try_into().ok()?);
        // Some addresses stay what they are.
        let same = (masks.ip(pseudonym) == pseudonym).then_some(pseudonym);
        stored.extend(masks.reveal_ip(pseudonym).into_iter().chain(same));
    }
    let stored = stored.into_iter().map(|ip| lit(ScalarValue::FixedSizeBinary(16, Some(ip.0.to_vec())))).collect();
    Some(Expr::InList(InList::new(Box::new(Expr::Column(column)), stored, false)))
}

#[derive(Debug)]
struct Function {
    manner: Manner,
    masks: Arc<Pseudonyms>,
    signature: Signature,
}

// All masks of one query have one key.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.manner == other.manner && Arc::ptr_eq(&self.masks, &other.masks)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.manner.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [one] => Ok(one.clone()),
            _ => plan_err!("masked takes one column"),
        }
    }

    // A mask keeps what is not null not null.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::clone(field)),
            _ => plan_err!("masked takes one column"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [column] = args.args.as_slice() else { return exec_err!("masked takes one column") };
        let scalar = matches!(column, ColumnarValue::Scalar(_));
        let column = column.clone().into_array(if scalar { 1 } else { args.number_rows })?;
        let masked = self.mask(&column)?;
        if scalar { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&masked, 0)?)) } else { Ok(masked.into()) }
    }
}

impl Function {
    fn mask(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let masks = &self.masks;
        match self.manner {
            Manner::Address => fixed::<16>(column, |bytes| masks.ip(Ip(bytes)).0),
            Manner::Mac => fixed::<6>(column, |bytes| masks.mac(bytes)),
            Manner::Name => text(column, |text| masks.name(text).into_owned()),
            Manner::Group => text(column, |text| masks.group(text)),
            Manner::Text => text(column, |text| masks.text(text).into_owned()),
        }
    }
}

/// Masks addresses; each one once, because the same ones come again and again within a batch.
fn fixed<const N: usize>(column: &ArrayRef, mask: impl Fn([u8; N]) -> [u8; N]) -> Result<ArrayRef> {
    let Some(column) = column.as_fixed_size_binary_opt() else {
        return exec_err!("{} is not an address", column.data_type());
    };
    let mut known: HashMap<[u8; N], [u8; N]> = HashMap::new();
    let values = column.iter().map(|bytes| {
        let bytes: [u8; N] = bytes?.try_into().ok()?;
        Some(*known.entry(bytes).or_insert_with(|| mask(bytes)))
    });
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, N as i32)?))
}

fn text(column: &ArrayRef, mask: impl Fn(&str) -> String) -> Result<ArrayRef> {
    let Some(column) = column.as_string_opt::<i32>() else {
        return exec_err!("{} is not text", column.data_type());
    };
    Ok(Arc::new(column.iter().map(|text| text.map(&mask)).collect::<StringArray>()))
}
