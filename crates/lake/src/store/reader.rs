//! Reading Parquet files of the lake outside of queries: for merging, clearing, and rebuilding a lost manifest.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use guardian_model::Class;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::manifest::FileMeta;
use super::parquet_file::META_KEY;
use crate::LakeError;

/// Rows read at a time.
const READ_ROWS: usize = 16 * 1024;

/// The rows of a file as batches of the whole class; columns that the file lacks are null.
pub(crate) struct FileRows {
    class: &'static Class,
    reader: ParquetRecordBatchReader,
    what: String,
}

impl FileRows {
    pub(crate) fn open(path: &Path, class: &'static Class) -> Result<(Self, SchemaRef), LakeError> {
        let what = format!("reading {}", path.display());
        let file = File::open(path).map_err(LakeError::io(what.clone()))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&what, e))?;
        let schema = Arc::clone(builder.schema());
        let reader = builder.with_batch_size(READ_ROWS).build().map_err(|e| damaged(&what, e))?;
        Ok((Self { class, reader, what }, schema))
    }
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|e| damaged(&self.what, e)).and_then(|batch| widen(self.class, &batch)))
    }
}

fn damaged(what: &str, error: impl std::fmt::Display) -> LakeError {
    LakeError::Data(format!("{what}: {error}"))
}

fn widen(class: &'static Class, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let rows = batch.num_rows();
    let column = |field: &guardian_model::Field| -> ArrayRef {
        batch.column_by_name(field.name).map_or_else(|| new_null_array(&field.kind.data_type(), rows), Arc::clone)
    };
    RecordBatch::try_new(class.schema(), class.fields.iter().map(column).collect()).map_err(LakeError::data)
}

/// The description that a file carries of itself, with its present size and checksum.
pub(crate) fn describe(path: &Path) -> Option<FileMeta> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).ok()?).ok()?;
    let pairs = builder.metadata().file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == META_KEY)?.value.as_ref()?;
    let mut meta: FileMeta = serde_json::from_str(text).ok()?;
    let bytes = std::fs::read(path).ok()?;
    meta.bytes = bytes.len() as u64;
    meta.crc = crc32fast::hash(&bytes);
    Some(meta)
}
