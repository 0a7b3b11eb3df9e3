//! What agents send fits the field tables of the server.

use std::collections::BTreeSet;

use guardian_model::{ALL_CLASSES, CHANGE, FINDING, FLOW, Kind};
use guardian_protocol::{Cell, Coding, classes};

/// Columns that the server fills: where a row is stored, and whose it is.
const OF_THE_SERVER: [&str; 7] = ["batch", "row", "received", "site", "host", "host_id", "replay"];

const fn coding(kind: Kind) -> Coding {
    match kind {
        Kind::Bool => Coding::Bool,
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Coding::Number,
        Kind::Time => Coding::Time,
        Kind::Ip => Coding::Fixed(16),
        Kind::Mac => Coding::Fixed(6),
        Kind::Label => Coding::Label,
        Kind::Text => Coding::Text,
        Kind::Bytes => Coding::Bytes,
    }
}

#[test]
fn every_class_of_events_has_the_columns_of_its_table() {
    let of_hosts = |uid: u32| ![FLOW.uid, FINDING.uid, CHANGE.uid].contains(&uid);
    let known: BTreeSet<_> = ALL_CLASSES.iter().filter(|c| of_hosts(c.uid)).map(|c| (c.name, c.uid)).collect();
    let sent: BTreeSet<_> = classes::ALL.iter().map(|c| (c.name, c.uid)).collect();
    assert_eq!(sent, known);
    for class in classes::ALL {
        let table = ALL_CLASSES.iter().find(|c| c.uid == class.uid).unwrap();
        let mut fields: Vec<_> = table.fields.iter().filter(|f| !OF_THE_SERVER.contains(&f.name)).collect();
        fields.sort_by_key(|f| f.id);
        let wanted: Vec<_> = fields.iter().map(|f| (f.id, coding(f.kind))).collect();
        assert_eq!(class.columns, wanted, "{}", class.name);
        for server in OF_THE_SERVER {
            let field = &table.fields[table.index_of(server).unwrap()];
            assert!(field.id < 10, "{}.{server} is of all classes", class.name);
        }
    }
}

#[test]
fn rows_of_a_class_keep_its_columns() {
    let mut rows = classes::LOGINS.rows();
    let mut cells = [Cell::Null; classes::LoginColumn::COUNT];
    cells[classes::LoginColumn::Time as usize] = Cell::Time(5);
    cells[classes::LoginColumn::SrcIp as usize] = Cell::Bytes(&[0; 16]);
    cells[classes::LoginColumn::Success as usize] = Cell::Bool(false);
    assert!(cells.iter().enumerate().all(|(at, cell)| classes::LOGINS.takes(at, cell)));
    assert!(rows.push(&cells));
    let ids: Vec<_> = rows.finish().columns.iter().map(|c| c.id).collect();
    assert_eq!(ids, [4, 11, 16]);
    assert!(!classes::LOGINS.takes(classes::LoginColumn::SrcIp as usize, &Cell::Bytes(&[0; 4])));
}
