//! The filter language, and the vectorised predicates that it shares with the Sigma engine.
//!
//! This crate is pure: it must never read a clock (the time that `now` means is passed in), do I/O, or know a
//! storage engine beyond writing a `WHERE` clause for it.

mod check;
mod cidr;
mod complete;
mod error;
mod graph;
mod kernel;
mod lexer;
mod mask;
mod names;
mod parse;
mod predicate;
mod record;
mod sql;
mod text;

pub use check::Typed;
pub use cidr::Cidr;
pub use complete::{Completion, complete};
pub use error::{ExprError, suggest};
pub use graph::{Evaluator, Graph, NodeId};
pub use lexer::EXPR_BYTES_MAX;
pub use mask::Mask;
pub use names::{PROTOCOLS, TCP_FLAGS, duration, is_tcp_flags, protocol, size, tcp_flags, time, whole};
pub use parse::{DEPTH_MAX, Expr, VALUES_MAX};
pub use predicate::{Predicate, Relation, Test, integer_max, kind_words};
pub use record::RecordFilter;
pub use text::{GlobPart, PATTERN_BYTES_MAX, REGEX_BYTES_MAX, TextKind, TextPattern};
