// See text_readers.h.
// Cells are split by hand, since RFC 4180 is a page; what a column is for is decided once, from the
// first line. One thread. Always holds: every record has as many cells as the first one.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/base/limits.h"
#include "tools/vecctl/input_file.h"
#include "tools/vecctl/text_readers.h"
#include "tools/vecctl/values.h"

namespace vecserve::vecctl {
namespace {

namespace limits = engine::limits;

// What a column is for.
enum class Use : std::uint8_t { id, whole_vector, coordinate, field };

struct Column {
  Use use = Use::field;
  std::size_t coordinate = 0;
  std::string name;
};

// "v12" is coordinate 12.
std::optional<std::size_t> coordinate_of(std::string_view name) {
  if (name.size() < 2 || name.front() != 'v') return std::nullopt;
  std::size_t index = 0;
  const auto parsed = std::from_chars(name.data() + 1, name.data() + name.size(), index);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) return std::nullopt;
  return index;
}

// The JSON number grammar, so that 007, 1e5x and NaN stay texts.
bool is_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9' || text.back() == '.') return false;
  if (text.size() > 1 && text[0] == '0' && text[1] != '.' && text[1] != 'e' && text[1] != 'E') {
    return false;
  }
  if (text.find(".e") != text.npos || text.find(".E") != text.npos) return false;
  double number = 0.0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() &&
         std::isfinite(number);
}

std::string field_json(const std::string& cell) {
  if (cell == "true" || cell == "false" || is_number(cell)) return cell;
  return text_json(cell);
}

class Csv final : public RowReader {
 public:
  Csv(InputFile file, const ReadOptions& options)
      : file_(std::move(file)), id_(options.first_id), header_(options.csv_header) {}

  // Reads the first line and decides what its columns are for.
  Status begin() {
    const Result<bool> more = record();
    VECSERVE_TRY(more.status());
    if (!*more) return Status::invalid_argument("file", file_.path() + ": holds no line");
    std::vector<bool> seen(cells_.size(), false);
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      Column column;
      column.name = header_ ? cells_[i] : std::string("v").append(std::to_string(i));
      const std::optional<std::size_t> coordinate = coordinate_of(column.name);
      if (column.name == "id") {
        column.use = Use::id;
      } else if (column.name == "vector") {
        column.use = Use::whole_vector;
        whole_ = true;
      } else if (coordinate && *coordinate < cells_.size() && !seen[*coordinate]) {
        column.use = Use::coordinate;
        column.coordinate = *coordinate;
        seen[*coordinate] = true;
        ++dim_;
      }
      columns_.push_back(std::move(column));
    }
    const auto gap = std::find(seen.begin(), seen.end(), false);
    const bool contiguous = static_cast<std::size_t>(gap - seen.begin()) == dim_;
    if (whole_ ? dim_ > 0 : (dim_ == 0 || !contiguous || dim_ > limits::dim_max)) {
      return Status::invalid_argument(
          "file", file_.path() +
                      ":1: must name either a column vector or columns v0, v1, v2, ...; a file "
                      "of numbers alone needs --no-header");
    }
    waiting_ = !header_;
    return {};
  }

  Result<bool> read(std::size_t rows_max, RowBatch& batch) override {
    const std::size_t before = batch.size();
    while (!ended_ && batch.size() < rows_max && batch.bytes() < kBatchBytesTarget) {
      if (!waiting_) {
        const Result<bool> more = record();
        ended_ = !more.ok() || !*more;
        VECSERVE_TRY(more.status());
        if (ended_) break;
      }
      waiting_ = false;
      if (cells_.size() == 1 && cells_[0].empty()) continue;
      if (Status status = row(batch); !status.ok()) {
        ended_ = true;
        return Status::invalid_argument(
            "file", file_.path() + ":" + std::to_string(number_) + ": " + status.to_string());
      }
    }
    return batch.size() > before;
  }

  std::uint64_t bytes_read() const override { return file_.position(); }
  std::uint64_t bytes_total() const override { return file_.size(); }

 private:
  // The next record into cells_; more than one line when a quoted cell goes on, which is so as long
  // as the number of quotes is odd.
  Result<bool> record() {
    Result<bool> more = file_.raw_line(text_);
    if (!more.ok() || !*more) return more;
    ++number_;
    const auto odd = [](const std::string& text) {
      return std::count(text.begin(), text.end(), '"') % 2 == 1;
    };
    bool open = odd(text_);
    std::string next;
    while (open) {
      more = file_.raw_line(next);
      VECSERVE_TRY(more.status());
      if (!*more || text_.size() + next.size() > kLineBytesMax) {
        return Status::invalid_argument(
            "file", file_.path() + ":" + std::to_string(number_) + ": a quote is not closed");
      }
      ++number_;
      open = open != odd(next);
      text_ += next;
    }
    (void)split_csv(text_, cells_);
    return true;
  }

  Status row(RowBatch& batch) {
    if (cells_.size() != columns_.size()) {
      return {StatusCode::invalid_argument, "has " + std::to_string(cells_.size()) +
                                                " cells, the first line " +
                                                std::to_string(columns_.size())};
    }
    std::optional<RowId> id;
    std::vector<float> vector(dim_);
    std::string payload;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      VECSERVE_TRY(cell(columns_[i], cells_[i], id, vector, payload));
    }
    batch.add(id ? std::move(*id) : RowId(id_++), vector);
    if (!payload.empty()) batch.set_payload("{" + payload + "}");
    return {};
  }

  static Status cell(const Column& column, const std::string& text, std::optional<RowId>& id,
                     std::vector<float>& vector, std::string& payload) {
    if (column.use == Use::field) {
      if (text.empty()) return {};
      if (!payload.empty()) payload.push_back(',');
      payload += text_json(column.name) + ":" + field_json(text);
      return {};
    }
    if (column.use == Use::id) {
      Result<RowId> parsed = parse_row_id(text, false);
      VECSERVE_TRY(parsed.status());
      id = *std::move(parsed);
      return {};
    }
    Result<std::vector<float>> parsed = parse_vector(text);
    VECSERVE_TRY(parsed.status());
    if (column.use == Use::whole_vector) {
      vector = *std::move(parsed);
      return {};
    }
    if (parsed->size() != 1) return Status::invalid_argument(column.name, "is not one number");
    vector[column.coordinate] = parsed->front();
    return {};
  }

  InputFile file_;
  std::uint64_t id_;
  bool header_;
  bool waiting_ = false;  // cells_ holds a record that was not given out
  bool ended_ = false;
  bool whole_ = false;
  std::size_t dim_ = 0;  // of the columns v0, v1, ...
  std::vector<Column> columns_;
  std::vector<std::string> cells_;
  std::string text_;
  std::uint64_t number_ = 0;
};

}  // namespace

bool split_csv(std::string_view record, std::vector<std::string>& cells) {
  cells.assign(1, {});
  bool quoted = false;
  for (std::size_t i = 0; i < record.size(); ++i) {
    const char c = record[i];
    if (quoted) {
      if (c != '"') {
        cells.back().push_back(c);
      } else if (i + 1 < record.size() && record[i + 1] == '"') {
        cells.back().push_back(c);
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c != '\n' && c != '\r') {
      cells.back().push_back(c);
    }
  }
  return !quoted;
}

Result<std::unique_ptr<RowReader>> open_csv(const std::string& path, const ReadOptions& options) {
  Result<InputFile> file = InputFile::open(path);
  VECSERVE_TRY(file.status());
  auto reader = std::make_unique<Csv>(*std::move(file), options);
  VECSERVE_TRY(reader->begin());
  return std::unique_ptr<RowReader>(std::move(reader));
}

}  // namespace vecserve::vecctl
