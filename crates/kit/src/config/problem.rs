//! What can be wrong with a configuration, in words that say where and what to do. Values of secrets never appear.

use std::fmt;

/// Where a key was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file: its name and the line, 0 where unknown.
    File {
        /// The file's name.
        name: String,
        /// The line, counted from 1.
        line: u64,
    },
    /// In an environment variable of this name.
    Env(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line: 0 } => f.write_str(name),
            Self::File { name, line } => write!(f, "{name}, line {line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key; empty where it is the whole text.
    pub key: String,
    /// What is wrong with it and what is expected.
    pub message: String,
    /// Where it was set, if anywhere.
    pub origin: Option<Origin>,
}

impl Problem {
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self { key: String::new(), message: message.into(), origin: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The problems, in the order of the text where they have one.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        if problems.is_empty() {
            problems.push(Problem::general("the configuration could not be read"));
        }
        problems.sort_by_key(|p| match &p.origin {
            Some(Origin::File { line, .. }) => (1, *line),
            Some(Origin::Env(_)) => (2, 0),
            Some(Origin::Flag) => (3, 0),
            None => (0, 0),
        });
        Self { problems }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &*self.problems {
            return only.fmt(f);
        }
        write!(f, "{} problems in the configuration:", self.problems.len())?;
        self.problems.iter().try_for_each(|p| write!(f, "\n  - {p}"))
    }
}

impl std::error::Error for ConfigErrors {}
