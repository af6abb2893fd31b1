// The payload texts and declared columns of one row block. Comes after check_payload in a write;
// read by filters and by whoever fetches a payload. One writer appends; readers touch only
// published positions. Always holds: an array, once made, never moves, and is reached through one
// atomic pointer, so that a reader sees either nothing (all rows before it are empty) or zeroed
// memory with every published value; an append reserves all that it needs before it stores the
// first value.
#include "engine/payload/column_block.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "engine/base/check.h"

namespace vecserve::engine {
namespace {

// Bytes of strings whose addresses never move. Chunks double up to a size at which what is left
// over at the end of a block is small beside the block.
class TextArena {
 public:
  // Makes room for `bytes` more, so that the next add() of that many cannot fail.
  void reserve(std::size_t bytes) {
    if (bytes <= left_) return;
    const std::size_t size = std::max(bytes, next_chunk_);
    chunks_.reserve(chunks_.size() + 1);
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    next_ = chunks_.back().get();
    left_ = size;
    allocated_ += size;
    next_chunk_ = std::min(next_chunk_ * 2, kLargestChunk);
  }

  [[nodiscard]] std::string_view add(std::string_view text) {
    if (text.empty()) return {};
    reserve(text.size());
    char* const at = next_;
    std::memcpy(at, text.data(), text.size());
    next_ += text.size();
    left_ -= text.size();
    return {at, text.size()};
  }

  [[nodiscard]] std::size_t allocated_bytes() const { return allocated_; }

 private:
  static constexpr std::size_t kFirstChunk = std::size_t{2} << 10;
  static constexpr std::size_t kLargestChunk = std::size_t{64} << 10;
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t next_chunk_ = kFirstChunk;
  std::size_t allocated_ = 0;
};

// Strings repeat in columns such as a genre: recent ones are found again by hash and stored once,
// which saves memory and keeps what a filter compares within a few cache lines.
constexpr std::size_t kRecentStrings = 128;
using RecentStrings = std::array<std::string_view, kRecentStrings>;

// One column once something other than `missing` came.
struct ColumnArrays {
  explicit ColumnArrays(std::uint32_t capacity, bool is_string)
      : kinds(std::make_unique<std::uint8_t[]>(capacity)) {
    if (is_string) {
      strings = std::make_unique<std::string_view[]>(capacity);
      recent = std::make_unique<RecentStrings>();
    } else {
      numbers = std::make_unique<double[]>(capacity);
    }
  }

  std::unique_ptr<std::uint8_t[]> kinds;
  std::unique_ptr<double[]> numbers;            // for number and boolean fields
  std::unique_ptr<std::string_view[]> strings;  // for string fields
  std::unique_ptr<RecentStrings> recent;        // the writer's, for string fields
};

}  // namespace

struct ColumnBlock::Data {
  struct Field {
    std::atomic<const ColumnArrays*> published{nullptr};
    std::unique_ptr<ColumnArrays> owned;
  };

  Data(std::size_t fields, std::uint32_t rows)
      : capacity(rows), columns(fields == 0 ? nullptr : std::make_unique<Field[]>(fields)) {}

  const std::uint32_t capacity;
  // Any thread.
  std::atomic<const std::string_view*> texts{nullptr};
  std::atomic<std::size_t> memory{0};
  // The committing thread only.
  std::unique_ptr<std::string_view[]> texts_owned;
  std::unique_ptr<Field[]> columns;
  TextArena arena;
  std::size_t array_bytes = 0;

  void make_texts() {
    texts_owned = std::make_unique<std::string_view[]>(capacity);
    array_bytes += capacity * sizeof(std::string_view);
    texts.store(texts_owned.get(), std::memory_order_release);
  }

  void make_column(Field& field, bool is_string) {
    field.owned = std::make_unique<ColumnArrays>(capacity, is_string);
    array_bytes += capacity * (1 + (is_string ? sizeof(std::string_view) : sizeof(double)));
    if (is_string) array_bytes += sizeof(RecentStrings);
    field.published.store(field.owned.get(), std::memory_order_release);
  }

  // The arena must have room for `text`.
  std::string_view intern(RecentStrings& recent, std::string_view text) {
    std::string_view& entry = recent[std::hash<std::string_view>{}(text) % kRecentStrings];
    if (entry != text) entry = arena.add(text);
    return entry;
  }
};

ColumnBlock::ColumnBlock(FieldList fields, std::uint32_t capacity)
    : fields_(fields), data_(std::make_unique<Data>(fields.size(), capacity)) {
  data_->memory.store(sizeof(Data) + fields.size() * sizeof(Data::Field),
                      std::memory_order_relaxed);
}

ColumnBlock::~ColumnBlock() = default;

void ColumnBlock::append(std::uint32_t position, std::string_view text,
                         std::span<const FieldValue> values) {
  Data& data = *data_;
  VECSERVE_CHECK(position < data.capacity);
  VECSERVE_CHECK(values.size() == fields_.size());
  std::size_t bytes = text.size();
  if (!text.empty() && data.texts_owned == nullptr) data.make_texts();
  for (std::size_t f = 0; f < values.size(); ++f) {
    if (values[f].kind == FieldValue::Kind::missing) continue;
    const bool is_string = fields_[f].type == FieldType::string;
    if (data.columns[f].owned == nullptr) data.make_column(data.columns[f], is_string);
    if (is_string) bytes += values[f].text.size();
  }
  data.arena.reserve(bytes);
  // Nothing below can fail.
  if (data.texts_owned != nullptr) data.texts_owned[position] = data.arena.add(text);
  for (std::size_t f = 0; f < values.size(); ++f) {
    ColumnArrays* const column = data.columns[f].owned.get();
    if (column == nullptr) continue;
    const FieldValue& value = values[f];
    column->kinds[position] = static_cast<std::uint8_t>(value.kind);
    if (column->strings != nullptr) {
      const bool has_text = value.kind == FieldValue::Kind::string;
      column->strings[position] =
          has_text ? data.intern(*column->recent, value.text) : std::string_view();
    } else {
      column->numbers[position] = value.kind == FieldValue::Kind::number ? value.number : 0.0;
    }
  }
  const std::size_t base = sizeof(Data) + fields_.size() * sizeof(Data::Field);
  data.memory.store(base + data.array_bytes + data.arena.allocated_bytes(),
                    std::memory_order_relaxed);
}

std::string_view ColumnBlock::text(std::uint32_t position) const {
  const std::string_view* const texts = data_->texts.load(std::memory_order_acquire);
  return texts == nullptr ? std::string_view() : texts[position];
}

ColumnBlock::Column ColumnBlock::column(std::uint32_t field) const {
  const ColumnArrays* const arrays =
      data_->columns[field].published.load(std::memory_order_acquire);
  if (arrays == nullptr) return {};
  return {arrays->kinds.get(), arrays->numbers.get(), arrays->strings.get()};
}

std::size_t ColumnBlock::memory_bytes() const {
  return data_->memory.load(std::memory_order_relaxed);
}

}  // namespace vecserve::engine
