// See text_readers.h.
// simdjson walks each line once: numbers go straight into the vector, the payload is passed on as
// text, and the database checks it like any other. One thread. Always holds: a line gives one row
// or an error.
#include <simdjson.h>

#include <utility>

#include "engine/base/limits.h"
#include "tools/vecctl/input_file.h"
#include "tools/vecctl/text_readers.h"
#include "tools/vecctl/values.h"

namespace vecserve::vecctl {
namespace {

namespace limits = engine::limits;
namespace ondemand = simdjson::ondemand;

// What one line says.
struct Record {
  std::optional<RowId> id;
  std::vector<float> vector;
  bool has_vector = false;
  std::optional<std::string> payload;
  std::optional<std::uint64_t> ttl_ms;
};

std::string parse_id(ondemand::value value, std::optional<RowId>& id) {
  std::uint64_t number = 0;
  std::string_view text;
  if (value.get_uint64().get(number) == simdjson::SUCCESS) {
    id = RowId(number);
  } else if (value.get_string().get(text) == simdjson::SUCCESS) {
    id = RowId(text);
  } else {
    return "id: must be a number of 0 or more, or a text";
  }
  return {};
}

std::string parse_vector(ondemand::value value, std::vector<float>& vector) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return "vector: must be an array";
  for (auto element : array) {
    double number = 0.0;
    if (element.get_double().get(number) != simdjson::SUCCESS) {
      return "vector: coordinate " + std::to_string(vector.size()) + " is not a number";
    }
    if (vector.size() == limits::dim_max) return "vector: more than 65536 coordinates";
    vector.push_back(static_cast<float>(number));
  }
  return {};
}

// "" or what is wrong.
std::string parse_field(std::string_view key, ondemand::value value, Record& record) {
  std::string_view text;
  if (key == "id") return parse_id(value, record.id);
  if (key == "id_hex") {
    std::optional<std::string> bytes;
    if (value.get_string().get(text) == simdjson::SUCCESS) bytes = parse_hex(text);
    if (!bytes) return "id_hex: must be a text of hexadecimal digits";
    record.id = RowId(std::move(*bytes));
    return {};
  }
  if (key == "vector") {
    record.has_vector = true;
    record.vector.clear();
    return parse_vector(value, record.vector);
  }
  if (key == "payload") {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS ||
        object.raw_json().get(text) != simdjson::SUCCESS) {
      return "payload: must be an object";
    }
    record.payload = std::string(text);
    return {};
  }
  if (key == "ttl_ms") {
    std::uint64_t ttl_ms = 0;
    if (value.get_uint64().get(ttl_ms) != simdjson::SUCCESS) return "ttl_ms: must be a number";
    record.ttl_ms = ttl_ms;
    return {};
  }
  return "unknown field \"" + std::string(key) +
         "\"; known are id, id_hex, vector, payload and ttl_ms (put your own into payload)";
}

std::string parse_record(ondemand::parser& parser, std::string& line, Record& record) {
  line.reserve(line.size() + simdjson::SIMDJSON_PADDING);
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(line.data(), line.size(), line.capacity()).get(document) !=
          simdjson::SUCCESS ||
      document.get_object().get(object) != simdjson::SUCCESS) {
    return "is not a JSON object";
  }
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS ||
        field.value().get(value) != simdjson::SUCCESS) {
      return "is not valid JSON";
    }
    const std::string name(key);  // the key's memory is used again for texts in the value
    if (std::string wrong = parse_field(name, value, record); !wrong.empty()) return wrong;
  }
  const char* behind = nullptr;
  if (document.current_location().get(behind) == simdjson::SUCCESS) {
    return "has something behind its object";
  }
  if (!record.has_vector) return "vector: missing";
  return {};
}

class JsonLines final : public RowReader {
 public:
  JsonLines(InputFile file, std::uint64_t first_id) : file_(std::move(file)), id_(first_id) {}

  Result<bool> read(std::size_t rows_max, RowBatch& batch) override {
    const std::size_t before = batch.size();
    while (!ended_ && batch.size() < rows_max && batch.bytes() < kBatchBytesTarget) {
      const Result<bool> more = file_.line(line_);
      ended_ = !more.ok() || !*more;
      VECSERVE_TRY(more.status());
      if (ended_) break;
      ++number_;
      if (line_.find_first_not_of(" \t") == std::string::npos) continue;
      if (std::string wrong = row(batch); !wrong.empty()) {
        ended_ = true;
        return Status::invalid_argument(
            "file", file_.path() + ":" + std::to_string(number_) + ": " + wrong);
      }
    }
    return batch.size() > before;
  }

  std::uint64_t bytes_read() const override { return file_.position(); }
  std::uint64_t bytes_total() const override { return file_.size(); }

 private:
  std::string row(RowBatch& batch) {
    Record record;
    if (std::string wrong = parse_record(parser_, line_, record); !wrong.empty()) return wrong;
    batch.add(record.id ? std::move(*record.id) : RowId(id_++), record.vector);
    if (record.payload) batch.set_payload(std::move(*record.payload));
    if (record.ttl_ms) batch.set_ttl_ms(*record.ttl_ms);
    return {};
  }

  InputFile file_;
  ondemand::parser parser_;
  std::string line_;
  std::uint64_t number_ = 0;
  std::uint64_t id_;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_json_lines(const std::string& path,
                                                   const ReadOptions& options) {
  Result<InputFile> file = InputFile::open(path);
  VECSERVE_TRY(file.status());
  return std::unique_ptr<RowReader>(
      std::make_unique<JsonLines>(*std::move(file), options.first_id));
}

}  // namespace vecserve::vecctl
