//! Rows as a test reads them: what a source has handed to the outbox.

use std::time::{Duration, Instant};

use guardian_agent::outbox::Inbox;
use guardian_agent::spool::Mark;
use guardian_protocol::classes::{self, EventClass};
use guardian_protocol::{Events, Values};

/// One row: values by column id, as text.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) class: &'static EventClass,
    values: Vec<(u16, String)>,
}

impl Row {
    /// The value of the column at this position of the class.
    pub(crate) fn get(&self, position: usize) -> &str {
        let id = self.class.columns[position].0;
        self.values.iter().find(|(i, _)| *i == id).map_or("", |(_, v)| v)
    }
}

pub(crate) fn of(events: &Events) -> Vec<Row> {
    let class = classes::find(&events.class).unwrap();
    let mut rows = vec![Row { class, values: Vec::new() }; events.rows];
    for column in &events.columns {
        for (i, row) in rows.iter_mut().enumerate() {
            if column.valid.as_ref().is_some_and(|v| !v[i]) {
                continue;
            }
            let value = match &column.values {
                Values::Bool(v) => v[i].to_string(),
                Values::Number(v) => v[i].to_string(),
                Values::Time(v) => v[i].to_string(),
                Values::Text(v) => v[i].clone(),
                Values::Label { names, keys } => names[keys[i] as usize].clone(),
                Values::Fixed { width: 16, bytes } => {
                    let bytes: [u8; 16] = bytes[16 * i..16 * i + 16].try_into().unwrap();
                    std::net::Ipv6Addr::from(bytes).to_canonical().to_string()
                }
                other => panic!("{other:?}"),
            };
            row.values.push((column.id, value));
        }
    }
    rows
}

/// The rows that wait.
pub(crate) fn take(inbox: &Inbox) -> Vec<Row> {
    take_marked(inbox).0
}

/// The rows that wait, and how far their source has read by the last of them.
pub(crate) fn take_marked(inbox: &Inbox) -> (Vec<Row>, Option<Mark>) {
    let (mut rows, mut mark) = (Vec::new(), None);
    while let Ok(Some(outgoing)) = inbox.next(Duration::ZERO) {
        outgoing.rows.iter().for_each(|events| rows.extend(of(events)));
        mark = outgoing.mark.or(mark);
        if let Some(synced) = outgoing.synced {
            synced.send(()).unwrap();
        }
    }
    (rows, mark)
}

/// Calls `step` and takes rows until `enough` of them are there; fails after the time.
pub(crate) fn until(inbox: &Inbox, seconds: u64, mut step: impl FnMut(), enough: impl Fn(&[Row]) -> bool) -> Vec<Row> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rows = Vec::new();
    loop {
        step();
        rows.extend(take(inbox));
        if enough(&rows) {
            return rows;
        }
        assert!(Instant::now() < end, "not enough within {seconds} s: {rows:#?}");
    }
}
