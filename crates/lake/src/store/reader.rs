//! Reading Parquet files of the lake outside of queries: for merging, clearing, and rebuilding a lost manifest.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use guardian_model::Class;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::manifest::FileMeta;
use super::parquet_file::{META_KEY, SEALED_FILE};
use super::state::LiveFile;
use crate::LakeError;
use crate::keys::LakeKeys;

/// Rows read at a time.
const READ_ROWS: usize = 16 * 1024;

/// The rows of a file as batches of the whole class; columns that the file lacks are null.
pub(crate) struct FileRows {
    class: &'static Class,
    reader: ParquetRecordBatchReader,
    what: String,
}

impl FileRows {
    pub(crate) fn open(
        file: &LiveFile,
        class: &'static Class,
        keys: &LakeKeys,
    ) -> Result<(Self, SchemaRef), LakeError> {
        let path = file.path();
        let what = format!("reading {}", path.display());
        let sealed = file.meta.key.is_some().then_some(file.meta.path.as_str());
        let file = File::open(&path).map_err(LakeError::io(what.clone()))?;
        let builder = builder(file, sealed, keys, &what)?;
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

/// Begins to read a file; `sealed` is the path of an encrypted one, below the lake's directory.
fn builder(
    file: File,
    sealed: Option<&str>,
    keys: &LakeKeys,
    what: &str,
) -> Result<ParquetRecordBatchReaderBuilder<File>, LakeError> {
    let Some(path) = sealed else {
        return ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(what, e));
    };
    let reading = keys.reading(path)?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(Arc::clone(&reading.properties));
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|e| reading.refused().unwrap_or_else(|| damaged(what, e)))
}

/// Reads an encrypted file through, so that every page proves itself; false where one does not, and an error where the
/// key is missing.
pub(crate) fn proves_itself(file: &LiveFile, path: &str, keys: &LakeKeys) -> Result<bool, LakeError> {
    let on_disk = file.root().join(path);
    let what = format!("reading {}", on_disk.display());
    let opened = File::open(&on_disk).map_err(LakeError::io(what.clone()))?;
    let reader = builder(opened, Some(path), keys, &what)
        .and_then(|b| b.with_batch_size(READ_ROWS).build().map_err(|e| damaged(&what, e)));
    match reader {
        Ok(mut reader) => Ok(reader.all(|batch| batch.is_ok())),
        Err(LakeError::Data(_)) => Ok(false),
        Err(error) => Err(error),
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

/// The description that the file at `path` below `dir` carries of itself, with its present size and checksum; `None`
/// where it is damaged or another's. Fails where it is encrypted and the key is missing.
pub(crate) fn describe(dir: &Path, path: &str, keys: &LakeKeys) -> Result<Option<FileMeta>, LakeError> {
    let on_disk = dir.join(path);
    let what = || format!("reading {}", on_disk.display());
    let bytes = std::fs::read(&on_disk).map_err(LakeError::io(what()))?;
    let file = File::open(&on_disk).map_err(LakeError::io(what()))?;
    let sealed = bytes.ends_with(&SEALED_FILE).then_some(path);
    let builder = match builder(file, sealed, keys, &what()) {
        Err(LakeError::Data(_)) => return Ok(None),
        builder => builder?,
    };
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let text = pairs.into_iter().flatten().find(|pair| pair.key == META_KEY).and_then(|pair| pair.value.as_ref());
    let meta = text.and_then(|text| serde_json::from_str::<FileMeta>(text).ok()).filter(|meta| meta.path == path);
    Ok(meta.map(|meta| FileMeta { bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes), ..meta }))
}
