//! Policies as they come: nothing panics, what is taken is within its bounds, and says the same when it is said again.
#![no_main]

use guardian_agent::policy::{Local, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (document, complaints) = read(input);
    assert!(complaints.iter().all(|complaint| !complaint.is_empty()));
    assert_eq!(document.problems(), Vec::<String>::new());
    let written = serde_json::to_vec(&document).expect("a document is JSON");
    let (again, complaints) = read(&written);
    assert_eq!((&again, complaints), (&document, Vec::new()));
    let local = Local::default();
    let settings = local.settings(&document);
    assert_eq!(settings, local.settings(&again));
    assert!(settings.queries.len() <= document.queries.len() && settings.follow.len() <= document.logs.follow.len());
    document.said();
});
