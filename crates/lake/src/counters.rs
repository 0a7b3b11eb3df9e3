//! Everything the lake counts, declared once: the name is the metric's, the text its help and its documentation.

use guardian_kit::metrics::{Counter, Gauge, Metrics};

macro_rules! counters {
    ($($name:ident $metric:literal $help:literal;)*) => {
        /// Counters of the lake.
        #[derive(Debug)]
        pub(crate) struct Counters { $( #[doc = $help] pub(crate) $name: Counter, )* pub(crate) gauges: Gauges }

        impl Counters {
            pub(crate) fn new(metrics: &Metrics) -> Self {
                Self { $( $name: metrics.counter($metric, $help), )* gauges: Gauges::new(metrics) }
            }
        }
    };
}

macro_rules! gauges {
    ($($name:ident $metric:literal $help:literal;)*) => {
        /// Gauges of the lake.
        #[derive(Debug)]
        pub(crate) struct Gauges { $( #[doc = $help] pub(crate) $name: Gauge, )* }

        impl Gauges {
            fn new(metrics: &Metrics) -> Self {
                Self { $( $name: metrics.gauge($metric, $help), )* }
            }
        }
    };
}

counters! {
    rows "guardian_lake_rows_total" "Rows accepted";
    batches "guardian_lake_batches_total" "Batches accepted";
    append_waits "guardian_lake_append_waits_total" "Times an append waited because the log was behind";
    hot_waits "guardian_lake_hot_waits_total" "Times an append waited because too much was not yet in Parquet files";
    refused_batches "guardian_lake_refused_batches_total" "Batches refused because the disk was full or failing";
    refused_rows "guardian_lake_refused_rows_total" "Rows refused because the disk was full or failing";
    disk_full "guardian_lake_disk_full_total" "Times the disk was found full";
    wal_bytes "guardian_lake_wal_written_bytes_total" "Bytes written to the write-ahead log";
    wal_syncs "guardian_lake_wal_syncs_total" "Group commits of the write-ahead log";
    wal_damage "guardian_lake_wal_damaged_records_total" "Damaged records and holes skipped in the write-ahead log";
    wal_torn "guardian_lake_wal_torn_tails_total" "Cut-off ends of the write-ahead log dropped at a start; normal after a crash";
    wal_hold_overruns "guardian_lake_wal_hold_overruns_total" "Log files removed though detection still held them, because the log was too large";
    recovered_rows "guardian_lake_recovered_rows_total" "Rows read back from the write-ahead log at a start";
    manifest_damage "guardian_lake_manifest_damaged_lines_total" "Damaged lines skipped in the manifest";
    orphans "guardian_lake_orphan_files_total" "Unfinished files removed at a start";
    quarantined "guardian_lake_quarantined_files_total" "Damaged Parquet files set aside";
    flushes "guardian_lake_flushes_total" "Parquet files written from memory";
    flushed_rows "guardian_lake_flushed_rows_total" "Rows written from memory to Parquet files";
    flushed_bytes "guardian_lake_flushed_bytes_total" "Bytes of Parquet files written from memory";
    flush_errors "guardian_lake_flush_errors_total" "Failed attempts to write a Parquet file";
    compactions "guardian_lake_compactions_total" "Merges of small Parquet files";
    compacted_files "guardian_lake_compacted_files_total" "Small Parquet files merged away";
    compacted_rows "guardian_lake_compacted_rows_total" "Rows rewritten by merging";
    expired_files "guardian_lake_expired_files_total" "Parquet files removed because of their age";
    evicted_files "guardian_lake_evicted_files_total" "Parquet files removed early to stay within the space allowed";
    evicted_rows "guardian_lake_evicted_rows_total" "Rows removed early to stay within the space allowed";
    cleared_rows "guardian_lake_cleared_rows_total" "Replayed rows deleted on request";
    queries "guardian_lake_queries_total" "Queries started";
    query_errors "guardian_lake_query_errors_total" "Queries that failed or ran into a limit";
    rollup_queries "guardian_lake_rollup_queries_total" "Queries answered from minute roll-ups";
}

gauges! {
    files "guardian_lake_files" "Parquet files";
    file_bytes "guardian_lake_file_bytes" "Bytes of Parquet files";
    wal_bytes "guardian_lake_wal_bytes" "Bytes of the write-ahead log on disk";
    hot_rows "guardian_lake_hot_rows" "Rows not yet in Parquet files";
    hot_bytes "guardian_lake_hot_bytes" "Memory of rows not yet in Parquet files";
    read_only "guardian_lake_read_only" "1 while nothing is accepted because the disk is full or failing";
}
