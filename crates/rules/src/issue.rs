//! What is wrong with a rule document, in words that help to mend it. Parsing and compiling collect issues and carry
//! on; they never fail as a whole.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether the document still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueLevel {
    /// The document works, though perhaps not as its author thinks.
    Warning,
    /// The document was not loaded, or its rule can never fire.
    Error,
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Whether the document still works.
    pub level: IssueLevel,
    /// Position of the document in its stream, from 0.
    pub document: usize,
    /// Id (or else name or title) of the rule, where it was readable.
    pub rule: Option<String>,
    /// Line in the stream, from 1; 0 where the issue has no place.
    pub line: usize,
    /// Column, from 1; 0 where the issue has no place.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, or empty.
    pub help: String,
}

impl Issue {
    pub(crate) fn new(level: IssueLevel, at: Place, message: impl Into<String>) -> Self {
        Self {
            level,
            document: at.document,
            rule: None,
            line: at.line,
            column: at.column,
            message: message.into(),
            help: String::new(),
        }
    }

    pub(crate) fn error(at: Place, message: impl Into<String>) -> Self {
        Self::new(IssueLevel::Error, at, message)
    }

    pub(crate) fn warning(at: Place, message: impl Into<String>) -> Self {
        Self::new(IssueLevel::Warning, at, message)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub(crate) fn of(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            IssueLevel::Warning => f.write_str("warning")?,
            IssueLevel::Error => f.write_str("error")?,
        }
        if self.line > 0 {
            write!(f, " at line {}, column {}", self.line, self.column)?;
        }
        if let Some(rule) = &self.rule {
            write!(f, " in {rule}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, " ({})", self.help)?;
        }
        Ok(())
    }
}

/// A place in a stream of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Position of the document in its stream, from 0.
    pub document: usize,
    /// Line, from 1; 0 where unknown.
    pub line: usize,
    /// Column, from 1; 0 where unknown.
    pub column: usize,
}
