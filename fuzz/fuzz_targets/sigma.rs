//! Rule streams: nothing panics, limits hold, what compiled can be evaluated, and each document has one content hash.
//!
//! The input is a stream of Sigma rules and correlation rules, after a line that is a filter.
#![no_main]

use std::sync::LazyLock;

use arrow::array::new_null_array;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use guardian_expr::Expr;
use guardian_model::{Batch, FLOW, Micros, TenantId};
use guardian_rules::{Correlator, CorrelatorLimits, RuleSet, parse};
use libfuzzer_sys::fuzz_target;

/// Two rows of nulls: what matches them is decided by the rule alone.
static BATCH: LazyLock<Batch> = LazyLock::new(|| {
    let fields: Vec<_> = FLOW.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let columns = FLOW.fields.iter().map(|f| new_null_array(&f.kind.data_type(), 2)).collect();
    let rows = RecordBatch::try_new(Schema::new(fields).into(), columns).expect("columns of the class");
    Batch { tenant: TenantId::DEFAULT, class: &FLOW, received: Micros(1_700_000_000_000_000), rows }
});

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (filter, stream) = text.split_once('\n').unwrap_or(("", text));
    match Expr::parse(filter).and_then(|f| f.check(&FLOW, Micros(0))) {
        Ok(typed) => {
            assert_eq!(typed.evaluate(&BATCH.rows).len(), 2);
            assert!(!typed.to_sql().is_empty());
        }
        Err(error) => assert!(!error.render(filter).is_empty()),
    }
    guardian_expr::complete(&FLOW, filter, filter.len());

    let parsed = parse(stream);
    // YAML ends a line at a lone CR too.
    let lines = stream.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    for issue in &parsed.issues {
        assert!(issue.line <= lines, "{issue}");
        assert!(!issue.message.is_empty());
    }
    for document in &parsed.documents {
        // A document read alone is the same document.
        let again = parse(&document.source);
        assert_eq!(again.documents.first().map(|d| &d.hash), Some(&document.hash));
    }
    let count = parsed.documents.len();
    let (rules, _) = RuleSet::compile(parsed.documents);
    assert!(rules.rules().len() <= count);
    let matches = rules.evaluate(&BATCH);
    let mut correlator = Correlator::new(CorrelatorLimits::default());
    for fired in correlator.step(&rules, 1, &BATCH, &matches) {
        assert!(fired.rule < rules.rules().len() && !fired.rows.is_empty());
    }
});
