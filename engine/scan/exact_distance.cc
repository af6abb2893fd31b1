// Takes the widest sums that the machine has, for f32 rows; everything else is the reference's.
// Comes between rescore and the files of the instruction sets. Any thread; pure.
// Always holds: the choice is made once and depends on the machine alone.
#include "engine/scan/exact_distance.h"

#include <algorithm>
#include <cmath>

#include "engine/scan/kernels_exact.h"
#include "engine/scan/reference.h"

namespace vecserve::engine {
namespace {

const ExactSums* choose() {
#if defined(__x86_64__)
  for (const ExactSums* sums : {&kAvx512ExactSums, &kAvx2ExactSums}) {
    if (sums->supported()) return sums;
  }
#endif
  return nullptr;
}

const ExactSums* const chosen = choose();

static_assert(kDistancesAtOnce == kExactRows);

// As reference.cc has it.
void cosines(const ExactSums& sums, const float* query, const std::byte* const* rows,
             std::uint32_t count, std::uint32_t dim, const std::byte* const* next, double* out) {
  const auto* const query_bytes = reinterpret_cast<const std::byte*>(query);
  double query_square = 0.0;
  double squares[kExactRows];
  sums.own(query, &query_bytes, 1, dim, nullptr, &query_square);
  sums.own(query, rows, count, dim, next, squares);
  sums.product(query, rows, count, dim, nullptr, out);
  for (std::uint32_t r = 0; r < count; ++r) {
    const double lengths = std::sqrt(query_square) * std::sqrt(squares[r]);
    out[r] = lengths == 0.0 ? 1.0 : std::clamp(1.0 - out[r] / lengths, 0.0, 2.0);
  }
}

bool wide_distances(const RowShape& shape, const float* query, const std::byte* const* rows,
                    std::uint32_t count, const std::byte* const* next, double* out) {
  if (chosen == nullptr || shape.type != ScalarType::f32) return false;
  switch (shape.metric) {
    case Metric::l2:
      chosen->square(query, rows, count, shape.dim, next, out);
      return true;
    case Metric::dot:
      chosen->product(query, rows, count, shape.dim, next, out);
      for (std::uint32_t r = 0; r < count; ++r) out[r] = 0.0 - out[r];
      return true;
    case Metric::cosine:
      cosines(*chosen, query, rows, count, shape.dim, next, out);
      return true;
    case Metric::l1:
      chosen->absolute(query, rows, count, shape.dim, next, out);
      return true;
    case Metric::hamming:
      return false;
  }
  return false;
}

}  // namespace

void ask_for_vector(const RowShape& shape, const std::byte* row) {
  for (std::uint32_t at = 0; at < std::min(shape.row_bytes, kExactAskedBytes); at += 64) {
    __builtin_prefetch(row + at);
  }
}

void exact_distances(const RowShape& shape, const void* query, const std::byte* const* rows,
                     std::uint32_t count, const std::byte* const* next, double* out) {
  if (wide_distances(shape, static_cast<const float*>(query), rows, count, next, out)) return;
  for (std::uint32_t r = 0; next != nullptr && r < kDistancesAtOnce; ++r) {
    ask_for_vector(shape, next[r]);
  }
  for (std::uint32_t r = 0; r < count; ++r) out[r] = reference_distance(shape, query, rows[r]);
}

}  // namespace vecserve::engine
