// Coarse kernels in plain C++: what is left when no instruction set is known, and the ones to
// compare with. Called by the cascade for rows of a block. Any thread; pure. Always holds: sums of
// products of bytes fit 32 bits, since 255 * 127 * 2^16 < 2^31.
#include <algorithm>
#include <cstring>

#include "engine/scan/coarse_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kTile = 64;    // rows whose sums are kept together
constexpr std::uint32_t kRun = 1'024;  // codes of a query taken out of their panel together
constexpr std::uint32_t kPanel = 16;

std::int32_t sum_products(const std::uint8_t* row, const std::int8_t* query, std::size_t count) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += static_cast<std::int16_t>(row[i]) * static_cast<std::int16_t>(query[i]);
  }
  return sum;
}

bool is_eligible(const CoarseRows& rows, std::uint32_t r) {
  return rows.eligible == nullptr || (rows.eligible[r / 64] >> (r % 64) & 1) != 0;
}

// Appends row r when its sum of products, still with the bias, cannot rule it out.
struct L2Test {
  static bool survives(const CoarseRows& rows, const CoarseLimit& limit, std::uint32_t r,
                       std::int32_t sum, float& score) {
    const float dot = static_cast<float>(sum - limit.bias) * rows.scales[r] * limit.scale;
    const float squares = rows.squares[r] + limit.square;
    const float reach = limit.reach + rows.residuals[r];
    score = squares - dot;
    return !(squares * (1.0f - kScoreError) - dot - kScoreFloor > reach * reach);
  }
};

struct DotTest {
  static bool survives(const CoarseRows& rows, const CoarseLimit& limit, std::uint32_t r,
                       std::int32_t sum, float& score) {
    const float left = limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
    const float slack = limit.coarse_norm * rows.residuals[r] + left * rows.norms[r] + kScoreFloor;
    score = -(static_cast<float>(sum - limit.bias) * rows.scales[r] * limit.scale);
    return !(score > limit.reach + slack);
  }
};

template <typename Test>
std::uint32_t one(const CoarseRows& rows, const std::int8_t* codes, const CoarseLimit& limit,
                  Survivor* out) {
  std::uint32_t count = 0;
  for (std::uint32_t r = 0; r < rows.count; ++r) {
    if (!is_eligible(rows, r)) continue;
    const std::int32_t sum = sum_products(rows.codes + r * rows.stride, codes, rows.stride);
    float score = 0.0f;
    if (Test::survives(rows, limit, r, sum, score)) out[count++] = {r, score};
  }
  return count;
}

// Adds the products of one query's codes to the sums of the rows from `first`.
void add_query(const CoarseRows& rows, std::uint32_t first, std::uint32_t count,
               const std::int8_t* lane, std::int32_t* sums) {
  std::int8_t codes[kRun];
  for (std::size_t from = 0; from < rows.stride; from += kRun) {
    const std::size_t length = std::min<std::size_t>(kRun, rows.stride - from);
    for (std::size_t i = 0; i < length; i += 4) {
      std::memcpy(codes + i, lane + (from + i) * kPanel, 4);
    }
    for (std::uint32_t r = 0; r < count; ++r) {
      if (!is_eligible(rows, first + r)) continue;
      sums[r] += sum_products(rows.codes + (first + r) * rows.stride + from, codes, length);
    }
  }
}

template <typename Test>
void batch(const CoarseRows& rows, const CoarseBatch& queries) {
  std::fill(queries.counts, queries.counts + queries.query_count, 0u);
  for (std::uint32_t first = 0; first < rows.count; first += kTile) {
    const std::uint32_t count = std::min(kTile, rows.count - first);
    for (std::uint32_t q = 0; q < queries.query_count; ++q) {
      const std::int8_t* lane =
          queries.packed + q / kPanel * kPanel * rows.stride + std::size_t{q % kPanel} * 4;
      std::int32_t sums[kTile] = {};
      add_query(rows, first, count, lane, sums);
      Survivor* const out = queries.out + q * queries.out_stride;
      for (std::uint32_t r = 0; r < count; ++r) {
        float score = 0.0f;
        if (is_eligible(rows, first + r) &&
            Test::survives(rows, queries.limits[q], first + r, sums[r], score)) {
          out[queries.counts[q]++] = {first + r, score};
        }
      }
    }
  }
}

bool always() {
  return true;
}

}  // namespace

constinit const CoarseKernels kGenericCoarseKernels = {
    .name = "generic",
    .supported = always,
    .one_l2 = one<L2Test>,
    .one_dot = one<DotTest>,
    .batch_l2 = batch<L2Test>,
    .batch_dot = batch<DotTest>,
};

}  // namespace vecserve::engine
