//! How results reach a person or a program: as a table, JSON, CSV or XML. The only module that prints.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Drawn, presets};
use serde_json::{Map, Value};

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180, with a header line.
    Csv,
    /// `<rows><row><name>value</name>…</row></rows>`.
    Xml,
}

/// Rows with named columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; the cells are in the order of the columns.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    fn object(&self, row: &[Value]) -> Map<String, Value> {
        self.columns.iter().cloned().zip(row.iter().cloned()).collect()
    }
}

/// Prints a table in the asked form. A reader that went away (`| head`) ends the output quietly.
pub(crate) fn print(table: &Table, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let done = write(table, format, &mut out).and_then(|()| out.flush());
    quiet_pipe(done)
}

/// Prints one line for a person or a stream reader.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    quiet_pipe(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes a file to whoever reads.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    quiet_pipe(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints a remark beside the output, on standard error.
pub(crate) fn note(text: &str) {
    // Nobody can be told when standard error is closed.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Whether colours are welcome on standard output: a terminal, and neither `NO_COLOR` nor a dumb terminal.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Exit code of a program whose reader went away, as shells show it.
const EXIT_PIPE: i32 = 141;

fn quiet_pipe(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(EXIT_PIPE),
        other => other,
    }
}

fn write(table: &Table, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Table => draw(table, out),
        Format::Json => {
            let rows: Vec<_> = table.rows.iter().map(|row| table.object(row)).collect();
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        }
        Format::Jsonl => table.rows.iter().try_for_each(|row| {
            serde_json::to_writer(&mut *out, &table.object(row))?;
            writeln!(out)
        }),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            writer.write_record(&table.columns).map_err(io::Error::other)?;
            for row in &table.rows {
                writer.write_record(row.iter().map(text)).map_err(io::Error::other)?;
            }
            writer.flush()
        }
        Format::Xml => xml(table, out),
    }
}

fn draw(table: &Table, out: &mut impl Write) -> io::Result<()> {
    let mut drawn = Drawn::new();
    drawn.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        drawn.set_width(u16::MAX);
    }
    drawn.set_header(table.columns.iter().map(|c| c.to_uppercase()));
    for row in &table.rows {
        drawn.add_row(row.iter().map(|value| {
            let cell = Cell::new(visible(&text(value)));
            if value.is_number() { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    drawn.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

fn xml(table: &Table, out: &mut impl Write) -> io::Result<()> {
    use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
    let mut writer = quick_xml::Writer::new_with_indent(&mut *out, b' ', 1);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.write_event(Event::Start(BytesStart::new("rows")))?;
    for row in &table.rows {
        writer.write_event(Event::Start(BytesStart::new("row")))?;
        for (column, value) in table.columns.iter().zip(row) {
            if value.is_null() {
                continue;
            }
            let name = element_name(column);
            writer.write_event(Event::Start(BytesStart::new(name.as_str())))?;
            writer.write_event(Event::Text(BytesText::new(&visible(&text(value)))))?;
            writer.write_event(Event::End(BytesEnd::new(name.as_str())))?;
        }
        writer.write_event(Event::End(BytesEnd::new("row")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("rows")))?;
    drop(writer);
    writeln!(out)
}

/// An XML element name for any column name, such as `sum(bytes)`.
fn element_name(column: &str) -> String {
    let mut name: String =
        column.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Replaces control characters, so that what an attacker sent cannot drive the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Format, Table, write};

    fn rendered(format: Format) -> String {
        let mut table = Table::new(["src_ip", "sum(bytes)"]);
        table.push(vec![json!("10.0.0.1"), json!(1500)]);
        table.push(vec![json!("a<b\u{1b}[31m,\"q\""), json!(null)]);
        let mut out = Vec::new();
        write(&table, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_form_is_well_formed() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&rendered(Format::Json)).unwrap();
        assert_eq!(rows[0], json!({"src_ip": "10.0.0.1", "sum(bytes)": 1500}));
        assert_eq!(rendered(Format::Jsonl).lines().count(), 2);
        assert!(rendered(Format::Csv).contains("\"a<b\u{1b}[31m,\"\"q\"\"\",\n"));
        let xml = rendered(Format::Xml);
        assert!(xml.contains("<sum_bytes_>1500</sum_bytes_>"), "{xml}");
        assert!(xml.contains("a&lt;b\u{fffd}[31m"), "{xml}");
        let table = rendered(Format::Table);
        assert!(table.starts_with(" SRC_IP"), "{table}");
        assert!(!table.contains('\u{1b}'), "{table}");
    }
}
