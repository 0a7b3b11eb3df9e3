//! The protocol from outside: what one side says the other understands, and what nobody says harms nobody.

#[path = "it/classes.rs"]
mod classes;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/properties.rs"]
mod properties;
