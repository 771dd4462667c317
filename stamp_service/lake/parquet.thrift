// The parts of Parquet's metadata that pyarrow does not show: page headers, and where page indexes are.
// Field numbers are those of https://github.com/apache/parquet-format; what is not listed is skipped.

struct DataPageHeader {
  1: required i32 num_values
  2: required i32 encoding
  3: required i32 definition_level_encoding
}

struct DataPageHeaderV2 {
  1: required i32 num_values
}

struct PageHeader {
  1: required i32 type
  2: required i32 uncompressed_page_size
  3: required i32 compressed_page_size
  4: optional i32 crc
  5: optional DataPageHeader data_page_header
  8: optional DataPageHeaderV2 data_page_header_v2
}

struct PageLocation {
  1: required i64 offset
  2: required i32 compressed_page_size
  3: required i64 first_row_index
}

struct OffsetIndex {
  1: required list<PageLocation> page_locations
}

struct ColumnChunk {
  4: optional i64 offset_index_offset
  5: optional i32 offset_index_length
}

struct RowGroup {
  1: required list<ColumnChunk> columns
}

struct FileMetaData {
  4: required list<RowGroup> row_groups
}
