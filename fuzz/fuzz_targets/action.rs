//! Actions as they come in a frame and in JSON: nothing panics, what is read says the same when it is said again both ways,
//! and what is signed of a script is one text.
#![no_main]

use guardian_protocol::action::{Action, prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(action) = Action::from_bytes(input) {
        check(&action);
    }
    if let Ok(action) = serde_json::from_slice::<Action>(input) {
        check(&action);
    }
    if let Some((address, bits)) = str::from_utf8(input).ok().and_then(prefix) {
        assert_eq!(prefix(&format!("{address}/{bits}")), Some((address, bits)));
    }
});

fn check(action: &Action) {
    let within = action.check();
    let again = Action::from_bytes(&action.to_bytes()).expect("what was read can be said");
    assert_eq!(&again, action);
    let json = serde_json::to_string(action).expect("texts and numbers");
    let again: Action = serde_json::from_str(&json).expect("what was said can be read");
    assert_eq!(&again, action);
    assert_eq!(again.check(), within);
    if let (Action::Script(one), Action::Script(other)) = (action, &again) {
        assert_eq!(one.statement(), other.statement());
    }
}
