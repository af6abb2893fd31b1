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

// As reference.cc has it.
double cosine(const ExactSums& sums, const float* query, const std::byte* row, std::uint32_t dim) {
  const auto* const query_bytes = reinterpret_cast<const std::byte*>(query);
  const double dot = sums.product(query, row, dim);
  const double lengths = std::sqrt(sums.product(query, query_bytes, dim)) *
                         std::sqrt(sums.product(reinterpret_cast<const float*>(row), row, dim));
  if (lengths == 0.0) return 1.0;
  return std::clamp(1.0 - dot / lengths, 0.0, 2.0);
}

}  // namespace

double exact_distance(const RowShape& shape, const void* query, const std::byte* row) {
  const auto* const floats = static_cast<const float*>(query);
  if (chosen != nullptr && shape.type == ScalarType::f32) {
    switch (shape.metric) {
      case Metric::l2:
        return chosen->square(floats, row, shape.dim);
      case Metric::dot:
        return 0.0 - chosen->product(floats, row, shape.dim);
      case Metric::cosine:
        return cosine(*chosen, floats, row, shape.dim);
      case Metric::l1:
        return chosen->absolute(floats, row, shape.dim);
      case Metric::hamming:
        break;
    }
  }
  return reference_distance(shape, query, row);
}

}  // namespace vecserve::engine
