// Rows out of a file, a batch at a time, whatever the file's format. Comes after the command line,
// before the target that writes the rows; the importing thread only.
// Files are treated as hostile: every count and length that a file states is checked against a
// limit and against the file's size before anything is allocated, and an error names the file and
// the line or row. Always holds: a batch never exceeds the rows and bytes that were asked for by
// more than one row, and after an error the reader gives no further rows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::vecctl {

inline constexpr std::size_t kBatchBytesTarget = std::size_t{4} << 20;  // closes a batch early
inline constexpr std::size_t kLineBytesMax = std::size_t{8} << 20;      // a line of text
inline constexpr std::size_t kHeaderBytesMax = std::size_t{1} << 16;    // the text of a .npy header

// Rows that own everything they point to. Coordinates are f32, or bytes where the file holds bytes.
class RowBatch {
 public:
  void clear();
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const { return coordinates_.size() + payload_bytes_; }

  // The coordinates of a new row, for the caller to fill: dim times the size of the type.
  [[nodiscard]] std::byte* add(RowId id, ScalarType type, std::uint32_t dim);
  void add(RowId id, const std::vector<float>& vector);
  // Of the row added last.
  void set_payload(std::string payload);
  void set_ttl_ms(std::uint64_t ttl_ms);
  // Takes the rows from the first `keep` on away again.
  void truncate(std::size_t keep);

  // Views into this batch, valid until it changes.
  [[nodiscard]] std::vector<RowInput> inputs() const;

 private:
  struct Entry {
    RowId id;
    ScalarType type = ScalarType::f32;
    std::uint32_t dim = 0;
    std::size_t offset = 0;
    std::optional<std::string> payload;
    std::optional<std::uint64_t> ttl_ms;
  };
  std::vector<Entry> rows_;
  std::vector<std::byte> coordinates_;
  std::size_t payload_bytes_ = 0;
};

enum class FileFormat : std::uint8_t { npy, fvecs, bvecs, json_lines, csv };

[[nodiscard]] std::optional<FileFormat> parse_file_format(std::string_view name);
// By the end of the name: .npy .fvecs .bvecs .jsonl .ndjson .json .csv
[[nodiscard]] std::optional<FileFormat> format_of(std::string_view path);

struct ReadOptions {
  std::uint64_t first_id = 0;  // of rows that bring no id: this one, then counting up
  bool csv_header = true;      // the first line of a CSV file names its columns
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  // Adds rows to `batch` until it holds `rows_max` or kBatchBytesTarget bytes, or the file ends.
  // True when it added any. On an error the rows before the bad one are in the batch.
  [[nodiscard]] virtual Result<bool> read(std::size_t rows_max, RowBatch& batch) = 0;
  // How far it is, for a progress bar: of the file's bytes.
  [[nodiscard]] virtual std::uint64_t bytes_read() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_total() const = 0;
};

// not_found when there is no such file; invalid_argument when it is not what it says.
[[nodiscard]] Result<std::unique_ptr<RowReader>> open_rows(const std::string& path,
                                                           FileFormat format,
                                                           const ReadOptions& options = {});

}  // namespace vecserve::vecctl
