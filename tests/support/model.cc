// The model's few rules: what is visible, what is near, what a filter means. Below model_test; test
// thread only. Always holds: nothing here calls the engine. Filters are drawn as pairs of text and
// code that mean the same.
#include "tests/support/model.h"

#include <cmath>
#include <set>
#include <utility>

#include "tests/support/brute_force.h"

namespace vecserve::test {
namespace {

constexpr double kCosineSlack = 1e-9;  // far above rounding, far below any two cosines of integers
constexpr int kIds = 60;               // few, so that overwrites and misses are both common

std::string show(const Neighbor& neighbor) {
  return neighbor.id.to_string() + " at " + std::to_string(neighbor.distance);
}

}  // namespace

ModelFilter draw_filter(Dice& dice) {
  const int low = static_cast<int>(dice.below(10));
  const std::string number = std::to_string(low);
  switch (dice.below(9)) {
    case 0:
      return {".a >= " + number, [low](const ModelRow& r) { return r.a >= low; }};
    case 1:
      return {".s == \"x\"", [](const ModelRow& r) { return r.s == "x"; }};
    case 2:
      return {".a == " + number + " or .s in [\"y\", \"z\"]",
              [low](const ModelRow& r) { return r.a == low || r.s == "y" || r.s == "z"; }};
    case 3:
      return {"not (.a < " + number + ") and .s != \"z\"",
              [low](const ModelRow& r) { return !(r.a < low) && r.s != "z"; }};
    // "b" is not declared and always equal to "a": the slow path must agree with the columns.
    case 4:
      return {".b > " + number, [low](const ModelRow& r) { return r.a > low; }};
    case 5:
      return {".b == .a and .a < " + number, [low](const ModelRow& r) { return r.a < low; }};
    default:
      return {"", [](const ModelRow&) { return true; }};
  }
}

TypedVector::TypedVector(ScalarType type, std::vector<float> floats)
    : type_(type), floats_(std::move(floats)) {
  if (type_ != ScalarType::bit) return;
  packed_.resize((floats_.size() + 7) / 8);
  for (std::size_t i = 0; i < floats_.size(); ++i) {
    if (floats_[i] != 0.0f) {
      packed_[i / 8] = static_cast<std::uint8_t>(packed_[i / 8] | (1u << (i % 8)));
    }
  }
}

VectorView TypedVector::view() const {
  if (type_ != ScalarType::bit) return VectorView(floats_);
  return VectorView::bits(packed_, static_cast<std::uint32_t>(floats_.size()));
}

std::vector<float> draw_vector(const CollectionOptions& options, Dice& dice) {
  std::vector<float> vector(options.dim);
  for (float& x : vector) {
    switch (options.type) {
      case ScalarType::bit:
        x = static_cast<float>(dice.below(2));
        break;
      case ScalarType::u8:
        x = static_cast<float>(dice.below(9));
        break;
      default:
        x = static_cast<float>(static_cast<int>(dice.below(9)) - 4);
        break;
    }
  }
  if (options.metric == Metric::cosine) vector[0] = 5.0f;  // never the zero vector
  return vector;
}

RowId draw_id(Dice& dice) {
  const std::uint64_t number = dice.below(kIds);
  if (number % 4 != 0) return RowId(number);
  if (number == 0) return RowId(UINT64_MAX);
  return RowId("row " + std::to_string(number) + std::string(number % 5, '\0'));
}

std::string model_payload(int a, const std::string& s) {
  return "{\"a\":" + std::to_string(a) + ",\"s\":\"" + s + "\",\"b\":" + std::to_string(a) + "}";
}

ModelRow draw_row(const CollectionOptions& options, Dice& dice) {
  ModelRow row;
  row.vector = draw_vector(options, dice);
  row.a = static_cast<int>(dice.below(10));
  row.s = std::string(1, static_cast<char>('w' + dice.below(4)));
  row.payload = model_payload(row.a, row.s);
  return row;
}

const ModelRow* Model::find(const RowId& id, std::uint64_t now_ms) const {
  const auto found = rows.find(id);
  if (found == rows.end()) return nullptr;
  const ModelRow& row = found->second;
  return row.expires_at_ms != 0 && row.expires_at_ms <= now_ms ? nullptr : &row;
}

std::vector<std::pair<RowId, const ModelRow*>> Model::live(const ModelFilter& filter,
                                                           std::uint64_t now_ms) const {
  std::vector<std::pair<RowId, const ModelRow*>> matching;
  for (const auto& [id, row] : rows) {
    if (find(id, now_ms) != nullptr && filter.matches(row)) matching.emplace_back(id, &row);
  }
  return matching;
}

std::vector<Neighbor> Model::nearest(std::span<const float> query, std::size_t k,
                                     const ModelFilter& filter, std::uint64_t now_ms) const {
  std::vector<OracleRow> matching;
  for (const auto& [id, row] : live(filter, now_ms)) matching.push_back({id, row->vector});
  return oracle_nearest(options_.metric, matching, query, k);
}

std::vector<Neighbor> Model::within(std::span<const float> query, double radius,
                                    const ModelFilter& filter, std::uint64_t now_ms) const {
  std::vector<OracleRow> matching;
  for (const auto& [id, row] : live(filter, now_ms)) matching.push_back({id, row->vector});
  return oracle_within(options_.metric, matching, query, radius);
}

std::string Model::compare(std::span<const Neighbor> found, const std::vector<Neighbor>& expected,
                           std::span<const float> query) const {
  if (found.size() != expected.size()) {
    return std::to_string(found.size()) + " answers instead of " + std::to_string(expected.size());
  }
  std::set<RowId> seen;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (options_.metric != Metric::cosine) {
      if (!(found[i] == expected[i])) {
        return "rank " + std::to_string(i) + ": " + show(found[i]) + " instead of " +
               show(expected[i]);
      }
      continue;
    }
    const auto row = rows.find(found[i].id);
    if (row == rows.end() || !seen.insert(found[i].id).second) return "a row twice, or none";
    const double own = oracle_distance(options_.metric, query, row->second.vector);
    if (std::abs(found[i].distance - own) > kCosineSlack ||
        std::abs(found[i].distance - expected[i].distance) > kCosineSlack) {
      return "rank " + std::to_string(i) + ": " + show(found[i]) + " instead of " +
             show(expected[i]);
    }
  }
  return {};
}

std::string Model::compare_row(const Row& found, const ModelRow& expected,
                               std::uint64_t now_ms) const {
  if (found.vector.to_floats() != expected.vector) return "another vector";
  if (found.payload != expected.payload) return "payload " + found.payload;
  const std::uint64_t left = expected.expires_at_ms == 0 ? 0 : expected.expires_at_ms - now_ms;
  if (found.ttl_ms.value_or(0) != left) {
    return "ttl " + std::to_string(found.ttl_ms.value_or(0)) + " instead of " +
           std::to_string(left);
  }
  return {};
}

}  // namespace vecserve::test
