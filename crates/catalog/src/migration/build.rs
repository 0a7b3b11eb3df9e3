//! Small builders that every migration uses.

use sea_orm_migration::prelude::*;

/// A table with these columns.
pub(super) fn table(name: &'static str, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

/// A table whose key is made of these columns.
pub(super) fn keyed(mut table: TableCreateStatement, columns: &[&'static str]) -> TableCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(*column);
    }
    table.primary_key(&mut key);
    table
}

/// A reference whose target's removal removes the row.
pub(super) fn owned_by(
    mut table: TableCreateStatement,
    from: (&'static str, &'static str),
    to: &'static str,
) -> TableCreateStatement {
    table.foreign_key(
        ForeignKey::create()
            .name(format!("fk_{}_{}", from.0, from.1))
            .from(from.0, from.1)
            .to(to, "id")
            .on_delete(ForeignKeyAction::Cascade),
    );
    table
}

/// An index, named after its table and columns.
pub(super) fn index(table: &'static str, columns: &[&'static str], unique: bool) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("ix_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    if unique {
        index.unique();
    }
    index.take()
}
