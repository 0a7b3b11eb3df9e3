//! Reading encrypted Parquet files in queries, beside plain ones. The key of a file is asked for when it is opened;
//! footers are kept decrypted in the memory that those of plain files are kept in, which DataFusion does not do itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::config::EncryptionFactoryOptions;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::metadata::ParquetMetaData;

use crate::keys::LakeKeys;

/// The encrypted files of a scan: where they are, and their paths below the lake's directory, which they are bound to.
#[derive(Debug)]
pub(super) struct SealedFiles {
    pub(super) keys: LakeKeys,
    pub(super) paths: HashMap<Path, String>,
}

#[async_trait]
impl EncryptionFactory for SealedFiles {
    async fn get_file_encryption_properties(
        &self,
        _config: &EncryptionFactoryOptions,
        _schema: &arrow::datatypes::SchemaRef,
        _file_path: &Path,
    ) -> Result<Option<Arc<FileEncryptionProperties>>> {
        // Queries write no files.
        Ok(None)
    }

    async fn get_file_decryption_properties(
        &self,
        _config: &EncryptionFactoryOptions,
        file_path: &Path,
    ) -> Result<Option<Arc<FileDecryptionProperties>>> {
        let Some(path) = self.paths.get(file_path) else { return Ok(None) };
        let reading = self.keys.reading(path).map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(Some(reading.properties))
    }
}

/// Makes readers that keep the footers of encrypted files.
#[derive(Debug)]
pub(super) struct KeepingFooters<F> {
    pub(super) files: Arc<SealedFiles>,
    pub(super) inner: F,
    pub(super) cache: Arc<FileMetadataCache>,
}

impl<F: ParquetFileReaderFactory> ParquetFileReaderFactory for KeepingFooters<F> {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let meta = file.object_meta.clone();
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        if !self.files.paths.contains_key(&meta.location) {
            return Ok(inner);
        }
        Ok(Box::new(KeepingFooter { inner, meta, cache: Arc::clone(&self.cache) }))
    }
}

struct KeepingFooter {
    inner: Box<dyn AsyncFileReader + Send>,
    meta: ObjectMeta,
    cache: Arc<FileMetadataCache>,
}

impl fmt::Debug for KeepingFooter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepingFooter").field("location", &self.meta.location).finish_non_exhaustive()
    }
}

impl KeepingFooter {
    fn kept(&self) -> Option<Arc<ParquetMetaData>> {
        let entry = self.cache.get(&self.meta.location).filter(|entry| entry.is_valid_for(&self.meta))?;
        let kept = entry.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
        Some(Arc::clone(kept.parquet_metadata()))
    }
}

impl AsyncFileReader for KeepingFooter {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    /// The footer; whoever wants more of the indexes than it holds reads them by itself.
    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            if let Some(kept) = self.kept() {
                return Ok(kept);
            }
            let footer = self.inner.get_metadata(options).await?;
            let entry = Arc::new(CachedParquetMetaData::new(Arc::clone(&footer)));
            self.cache.put(&self.meta.location, CachedFileMetadataEntry::new(self.meta.clone(), entry));
            Ok(footer)
        }
        .boxed()
    }
}
