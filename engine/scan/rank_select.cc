// Counts into drawers of equal width, then looks into the one that has the rank. Comparing two
// values that come in no order costs a wrong guess of the processor every other time, and counting
// costs none.
// Any thread; the drawers are on the stack. Always holds: a value's drawer never falls as the value
// rises, so all values of earlier drawers are less than those of later ones.
#include "engine/scan/rank_select.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "engine/scan/extremes.h"

namespace vecserve::engine {

namespace {

constexpr std::size_t kDrawers = 512;
// Of fewer values, finding their drawers costs as much as it saves.
constexpr std::size_t kDrawersPay = 256;

float by_comparing(std::span<float> values, std::size_t rank) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

class Drawers {
 public:
  explicit Drawers(std::span<const float> values) {
    const auto [least, most] = extremes_of<float>(values, [](float value) { return value; });
    from_ = least;
    scale_ = static_cast<float>(kDrawers) / (most - least);
  }
  // Not where all are alike, or where numbers end.
  [[nodiscard]] bool usable() const { return std::isfinite(scale_) && scale_ > 0.0f; }
  [[nodiscard]] std::size_t of(float value) const {
    const auto drawer = static_cast<std::int32_t>((value - from_) * scale_);
    return std::min(static_cast<std::size_t>(drawer), kDrawers - 1);
  }

 private:
  float from_ = 0.0f;
  float scale_ = 0.0f;
};

}  // namespace

float value_at_rank(std::span<float> values, std::size_t rank) {
  if (values.size() < kDrawersPay) return by_comparing(values, rank);
  const Drawers drawers(values);
  if (!drawers.usable()) return by_comparing(values, rank);
  std::array<std::uint32_t, kDrawers> counts{};
  for (const float value : values) ++counts[drawers.of(value)];
  std::size_t drawer = 0;
  std::size_t before = 0;
  while (before + counts[drawer] <= rank) before += counts[drawer++];
  std::size_t there = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    if (drawers.of(value) == drawer) std::swap(values[there++], values[i]);
  }
  return by_comparing(values.first(there), rank - before);
}

}  // namespace vecserve::engine
