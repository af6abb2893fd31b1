// The database as a std::map: what every public call must answer, said in the plainest way. The
// model test sends each operation here and to the engine and compares. Test thread only. Always
// holds: coordinates are small integers, so every distance but the cosine is exact and must match
// to the last bit.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/dice.h"
#include "vecserve/collection.h"
#include "vecserve/types.h"

namespace vecserve::test {

struct ModelRow {
  std::vector<float> vector;
  std::string payload;
  std::uint64_t expires_at_ms = 0;  // 0: never
  // The payload's fields, as the filters below see them.
  int a = 0;
  std::string s;
};

// A filter as text for the engine and as code for the model.
struct ModelFilter {
  std::string text;
  std::function<bool(const ModelRow&)> matches;
};
[[nodiscard]] ModelFilter draw_filter(Dice& dice);  // one in three is the empty filter

// One vector with the memory it needs, in the collection's type.
class TypedVector {
 public:
  TypedVector(ScalarType type, std::vector<float> floats);
  [[nodiscard]] VectorView view() const;
  [[nodiscard]] const std::vector<float>& floats() const { return floats_; }

 private:
  ScalarType type_;
  std::vector<float> floats_;
  std::vector<std::uint8_t> packed_;  // bits
};

[[nodiscard]] std::vector<float> draw_vector(const CollectionOptions& options, Dice& dice);
[[nodiscard]] RowId draw_id(Dice& dice);
[[nodiscard]] ModelRow draw_row(const CollectionOptions& options, Dice& dice);
[[nodiscard]] std::string model_payload(int a, const std::string& s);

class Model {
 public:
  explicit Model(CollectionOptions options) : options_(std::move(options)) {}

  std::map<RowId, ModelRow> rows;

  [[nodiscard]] const CollectionOptions& options() const { return options_; }
  // The row, unless it is gone at this time.
  [[nodiscard]] const ModelRow* find(const RowId& id, std::uint64_t now_ms) const;
  [[nodiscard]] std::vector<std::pair<RowId, const ModelRow*>> live(const ModelFilter& filter,
                                                                    std::uint64_t now_ms) const;
  [[nodiscard]] std::vector<Neighbor> nearest(std::span<const float> query, std::size_t k,
                                              const ModelFilter& filter,
                                              std::uint64_t now_ms) const;
  [[nodiscard]] std::vector<Neighbor> within(std::span<const float> query, double radius,
                                             const ModelFilter& filter, std::uint64_t now_ms) const;
  // "" when the answers agree: exactly, or for the cosine within rounding; else what differs.
  [[nodiscard]] std::string compare(std::span<const Neighbor> found,
                                    const std::vector<Neighbor>& expected,
                                    std::span<const float> query) const;
  // "" when the row that the engine returned is the one of the model.
  [[nodiscard]] std::string compare_row(const Row& found, const ModelRow& expected,
                                        std::uint64_t now_ms) const;

 private:
  CollectionOptions options_;
};

}  // namespace vecserve::test
