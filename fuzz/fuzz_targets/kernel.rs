//! What the kernel says: its type information, messages of the process connector and of sockets, what audit says of itself and its
//! rules, and records of the probe.
//! Nothing panics, and nothing is read beyond what came.
#![no_main]

use guardian_agent::sources::connections::{self, Part};
use guardian_agent::sources::kernel::Layout;
use guardian_agent::sources::processes::{self, AuditRules, Sequences, parse_record, parse_status};
use libfuzzer_sys::fuzz_target;

/// Not shorter than a record.
const RECORD_BYTES: usize = 8 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    match first % 4 {
        0 => {
            if let Some(layout) = Layout::read(bytes, &["task_struct", "task", "mm_struct"]) {
                for member in ["pid", "mm", "arg_start", ""] {
                    layout.offset("task_struct", member);
                    layout.offset("task", member);
                }
            }
        }
        1 => {
            let mut sequences = Sequences::default();
            let mut count = 0;
            processes::parse(bytes, |event| {
                assert!(sequences.note(event.cpu, event.sequence) < u64::from(u32::MAX));
                count += 1;
            });
            assert!(count <= bytes.len() / 16);
            let mut rules = AuditRules::default();
            rules.add(bytes);
            assert!(rules.some || !(rules.all || rules.ours));
            drop(parse_status(bytes));
        }
        2 => {
            let mut count = 0;
            connections::parse(bytes, |part| {
                count += 1;
                if let Part::Socket(socket) = part {
                    assert!(socket.state_name().len() < 16);
                }
            });
            assert!(count <= bytes.len() / 16);
        }
        _ => {
            // Records are of one length, which is longer than what is tried.
            let mut record = bytes.to_vec();
            record.resize(record.len().max(RECORD_BYTES), 0);
            let noted = parse_record(&record).expect("it is long enough");
            assert!(noted.arguments.len() <= record.len() && noted.image.len() <= 3 * record.len());
        }
    }
});
