//! Writing Parquet files: which columns, which encodings, and the checks that let a damaged file be found.
//!
//! Columns without a value are left out of the file, columns without a null are written as required: neither costs
//! anything then. A file appears under its name only when it is complete and synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, Kind};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::LakeError;
use crate::keys::LakeKeys;

/// Key of the file's own description in its metadata.
pub(crate) const META_KEY: &str = "guardian.file";
/// Rows in a row group. Whoever looks for one host reads few pages of each, and pays for opening it: half of the time with
/// groups of this size against half of it.
pub(crate) const GROUP_ROWS: usize = 256 * 1024;
/// Rows in a page. Whoever wants few rows reads their pages whole: half of the time with pages a quarter as long.
pub(crate) const PAGE_ROWS: usize = 4 * 1024;

/// What is known of a finished file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// Which columns of a class occur in a set of batches, and which of them have nulls.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    class: &'static Class,
    columns: Vec<Presence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Presence {
    Absent,
    Full,
    WithNulls,
}

impl Shape {
    pub(crate) fn new(class: &'static Class) -> Self {
        Self { class, columns: vec![Presence::Absent; class.fields.len()] }
    }

    /// Takes note of a batch; `rows_before` rows came before it.
    pub(crate) fn add(&mut self, rows: &RecordBatch, rows_before: usize) {
        if rows.num_rows() == 0 {
            return;
        }
        for (presence, column) in self.columns.iter_mut().zip(rows.columns()) {
            let nulls = column.null_count();
            *presence = match (*presence, nulls) {
                (Presence::Absent, n) if n == column.len() => Presence::Absent,
                (Presence::Absent, 0) if rows_before == 0 => Presence::Full,
                (Presence::Full, 0) => Presence::Full,
                _ => Presence::WithNulls,
            };
        }
    }

    /// Takes note of a column that a file on disk has.
    pub(crate) fn add_file(&mut self, schema: &Schema, rows_before: usize) {
        for (presence, field) in self.columns.iter_mut().zip(self.class.fields) {
            *presence = match (*presence, schema.field_with_name(field.name)) {
                (Presence::Absent, Err(_)) => Presence::Absent,
                (Presence::Absent, Ok(f)) if !f.is_nullable() && rows_before == 0 => Presence::Full,
                (Presence::Full, Ok(f)) if !f.is_nullable() => Presence::Full,
                _ => Presence::WithNulls,
            };
        }
    }

    fn positions(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&i| self.columns[i] != Presence::Absent).collect()
    }

    /// The schema of the file.
    pub(crate) fn schema(&self) -> SchemaRef {
        let full = self.class.schema();
        let field = |i: usize| -> Arc<Field> {
            Arc::new(full.field(i).clone().with_nullable(self.columns[i] == Presence::WithNulls))
        };
        Arc::new(Schema::new(self.positions().into_iter().map(field).collect::<Vec<_>>()))
    }

    /// Picks the columns of the file out of a batch of the whole class.
    pub(crate) fn project(&self, schema: &SchemaRef, rows: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let columns: Vec<ArrayRef> = self.positions().into_iter().map(|i| Arc::clone(rows.column(i))).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(LakeError::data)
    }
}

/// Writes a Parquet file; it is not there until [`FileWriter::finish`].
pub(crate) struct FileWriter {
    writer: ArrowWriter<Summing>,
    rows: u64,
}

impl FileWriter {
    pub(crate) fn create(target: &Path, schema: &SchemaRef, properties: WriterProperties) -> Result<Self, LakeError> {
        let what = || format!("writing {}", target.display());
        if let Some(dir) = target.parent() {
            fs::create_dir_all(dir).map_err(LakeError::io(what()))?;
        }
        let file = File::create(target.with_extension("tmp")).map_err(LakeError::io(what()))?;
        let out = Summing { file: BufWriter::with_capacity(1 << 18, file), crc: crc32fast::Hasher::new(), bytes: 0 };
        let writer = ArrowWriter::try_new(out, Arc::clone(schema), Some(properties)).map_err(|e| failed(target, e))?;
        Ok(Self { writer, rows: 0 })
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        self.rows += rows.num_rows() as u64;
        self.writer.write(rows).map_err(|e| failed(Path::new("a Parquet file"), e))
    }

    /// Adds the file's description, completes and syncs it, and gives it its name.
    pub(crate) fn finish(mut self, target: &Path, meta: Option<String>) -> Result<Written, LakeError> {
        if let Some(meta) = meta {
            self.writer.append_key_value_metadata(KeyValue::new(META_KEY.to_owned(), meta));
        }
        let what = || format!("writing {}", target.display());
        let out = self.writer.into_inner().map_err(|e| failed(target, e))?;
        let written = Written { rows: self.rows, bytes: out.bytes, crc: out.crc.finalize() };
        let file = out.file.into_inner().map_err(io::IntoInnerError::into_error).map_err(LakeError::io(what()))?;
        file.sync_all()
            .and_then(|()| fs::rename(target.with_extension("tmp"), target))
            .and_then(|()| target.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()))
            .map_err(LakeError::io(what()))?;
        Ok(written)
    }
}

/// Keeps the cause where it is a plain I/O error, so that a full disk is recognised.
fn failed(path: &Path, error: parquet::errors::ParquetError) -> LakeError {
    let source = match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(io) => *io,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    };
    LakeError::Io { what: format!("writing {}", path.display()), source }
}

/// Counts and checksums what goes through.
struct Summing {
    file: BufWriter<File>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl Write for Summing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all(data)?;
        self.crc.update(data);
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// How the columns of a class are written, by measurement. Dictionaries are built only for labels, text and addresses:
/// for everything else building them was most of the cost. Searching ten million rows for an address takes 120 ms of CPU
/// time with them, and 230 ms with compressed addresses; writing costs a tenth more. Numbers are split into byte streams,
/// which compress better than delta packing (bytes 2.7 against 2.9 a row, ports 1.0 against 2.2) and cost less.
///
/// Encrypted files have no bloom filters: the Parquet library writes them in the clear, and anybody could ask them for
/// every address there is.
pub(crate) fn properties(class: &Class, sealing: Sealing) -> WriterProperties {
    let bloom: &[&str] = if sealing.is_some() { &[] } else { &BLOOM };
    let mut builder = base_properties(sealing);
    for field in class.fields {
        let path = ColumnPath::from(field.name);
        builder = match field.kind {
            Kind::Label | Kind::Text => builder.set_column_dictionary_enabled(path, true),
            // Within a page they rise, nearly.
            Kind::Time => builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::U64 | Kind::U32 | Kind::U16 | Kind::U8 => {
                builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
            }
            Kind::Ip => {
                let builder = builder.set_column_dictionary_enabled(path.clone(), true);
                if bloom.contains(&field.name) { with_bloom(builder, path) } else { builder }
            }
            Kind::Bool | Kind::Mac | Kind::Bytes => builder,
        };
    }
    builder.build()
}

/// Address columns with bloom filters: those that people search by.
const BLOOM: [&str; 2] = ["src_ip", "dst_ip"];

fn with_bloom(builder: WriterPropertiesBuilder, path: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(path.clone(), true)
        .set_column_bloom_filter_fpp(path.clone(), 0.02)
        .set_column_bloom_filter_max_ndv(path, GROUP_ROWS as u64)
}

/// How a file is encrypted, if it is.
pub(crate) type Sealing = Option<Arc<FileEncryptionProperties>>;

/// How the file at `path` is encrypted, and the id of the lake key.
pub(crate) fn seal(keys: Option<&LakeKeys>, path: &str) -> Result<(Option<String>, Sealing), LakeError> {
    Ok(keys.map(|keys| keys.writing(path)).transpose()?.unzip())
}

/// Properties for every file of ours.
pub(crate) fn base_properties(sealing: Sealing) -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let builder = match sealing {
        Some(sealing) => WriterProperties::builder().with_file_encryption_properties(sealing),
        None => WriterProperties::builder(),
    };
    builder
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by("guardian".to_owned())
}

/// The first and last bytes of an encrypted Parquet file.
pub(crate) const SEALED_FILE: [u8; 4] = *b"PARE";

/// Whether the file has the size and the checksum it was written with.
pub(crate) fn verify(path: &Path, bytes: u64, crc: u32) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let n = io::Read::read(&mut file, &mut buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        total += n as u64;
    }
    if total != bytes {
        return Err(format!("it has {total} bytes instead of {bytes}"));
    }
    if hasher.finalize() != crc {
        return Err("its checksum does not match".to_owned());
    }
    Ok(())
}

/// A quick check at start: size and the magic at both ends.
pub(crate) fn quick_check(path: &Path, bytes: u64) -> Result<(), String> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    if length != bytes {
        return Err(format!("it has {length} bytes instead of {bytes}"));
    }
    let (mut head, mut tail) = ([0; 4], [0; 4]);
    let ends = file.read_exact_at(&mut head, 0).and_then(|()| file.read_exact_at(&mut tail, length.saturating_sub(4)));
    ends.map_err(|e| e.to_string())?;
    if head != tail || (head != *b"PAR1" && head != SEALED_FILE) {
        Err("it is not a Parquet file".to_owned())
    } else {
        Ok(())
    }
}
