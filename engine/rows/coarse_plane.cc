// See coarse_plane.h.
// set() runs on the committing thread, make_coarse_query on searching threads.
//
// Why the bounds hold. Codes may be chosen in any way whatever; what counts is what is computed
// from the codes that were chosen. The scale has 16 significant bits, so scale * c is exact in a
// float, and e = x - scale * c is off by at most 2^-24 of itself. A sum of squares of floats is
// made in runs of kRun = 512: 8 sums of 64 terms, then three more additions, each step off by
// 2^-24 of itself at most, together less than 72 * 2^-24; runs are added in doubles. Its root is
// off by at most 36 * 2^-24 < 2^-18.8, which kRootSlack covers, and by what squares below the
// normal floats lose: each at most 2^-149, the root of 2^16 of them below 2^-66: kRootFloor.
// Squares of codes are integers whose sum over a run is below 2^24, hence exact in floats.
//
// Cosine: v is coded as above with scale s, and x = v / |v| is approximated with scale = s / L,
// where L is the computed |v|. Then |x - scale c| <= |v - s c| / |v| + |s c| * |1 / |v| - scale /
// s|. The first term is the computed residual over L, with both slacks. In the second, |s c| is at
// most |v| + |v - s c| <= 2.01 |v| (each |e| <= most / 253, so |v - s c| <= 256 most / 253), and
// the difference is at most (2^-18.8 + 2^-24) / |v|: together less than 2^-17.7, below kUnitSlack.
#include "engine/rows/coarse_plane.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "engine/rows/row_floats.h"

namespace vecserve::engine {

namespace {

// Eight floats: one register, or two where registers are smaller. Never passed by value, which
// means something else on each instruction set.
using Eight [[gnu::vector_size(32)]] = float;

constexpr std::uint32_t kStep = 16;  // coordinates handled together
constexpr std::uint32_t kRun = 512;
constexpr double kRootSlack = 1.0 + 0x1p-18;
constexpr double kRootFloor = 0x1p-60;
constexpr double kUnitSlack = 0x1p-17;
// Below this the scale could become a denormal, and its inverse infinite: the row is all residual.
constexpr float kLargestMin = 0x1p-100f;
// Adding this to a float below 2^22 rounds it to an integer, held in the lowest bits of the sum.
constexpr float kRounder = 0x1.8p23f;

static_assert(kRun / kStep * kStep == kRun && 127 * 127 * kRun < (1u << 24));

float round_up(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

// What both rows and queries come down to.
struct Coded {
  float scale = 0.0f;
  double length_square = 0.0;
  double error = 0.0;    // sum of squares of what the codes leave out
  double squares = 0.0;  // sum of squares of the codes, exact
};

// The functions below are compiled once for each instruction set, into what calls them.
[[gnu::always_inline]] inline double total(const Eight& sums) {
  return static_cast<double>(((sums[0] + sums[4]) + (sums[1] + sums[5])) +
                             ((sums[2] + sums[6]) + (sums[3] + sums[7])));
}

// Adds up a run of at most kRun coordinates, a multiple of kStep.
[[gnu::always_inline]] inline void measure_run(const float* x, std::uint32_t count, double& square,
                                               Eight& most) {
  Eight sums = {};
  for (std::uint32_t i = 0; i < count; i += 8) {
    Eight part;
    std::memcpy(&part, x + i, sizeof(part));
    const Eight negated = -part;
    const Eight magnitude = part > negated ? part : negated;
    sums += part * part;
    most = most > magnitude ? most : magnitude;
  }
  square += total(sums);
}

// The lowest bytes of kRounder plus an integer in [-127, 127], with the bits of `flip` turned over.
[[gnu::always_inline]] inline void put_codes(const Eight (&rounded)[2], std::uint8_t flip,
                                             std::uint8_t* out) {
#if defined(__SSE2__)
  const __m128i zero = _mm_castps_si128(_mm_set1_ps(kRounder));
  __m128i codes[4];
  std::memcpy(codes, rounded, sizeof(codes));
  for (__m128i& code : codes) code = _mm_sub_epi32(code, zero);
  const __m128i bytes =
      _mm_packs_epi16(_mm_packs_epi32(codes[0], codes[1]), _mm_packs_epi32(codes[2], codes[3]));
  const __m128i flips = _mm_set1_epi8(static_cast<char>(flip));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_xor_si128(bytes, flips));
#else
  std::uint32_t bits[kStep];
  std::memcpy(bits, rounded, sizeof(bits));
  for (std::uint32_t i = 0; i < kStep; ++i) out[i] = static_cast<std::uint8_t>(bits[i] ^ flip);
#endif
}

// Codes of a run into out, a signed byte each, with the bits of `flip` turned over.
[[gnu::always_inline]] inline void encode_run(const float* x, std::uint32_t count, float inverse,
                                              std::uint8_t flip, Coded& coded, std::uint8_t* out) {
  Eight errors = {};
  Eight squares = {};
  const float scale = coded.scale;
  for (std::uint32_t i = 0; i < count; i += kStep) {
    Eight rounded[2];
    for (std::uint32_t half = 0; half < 2; ++half) {
      Eight part;
      std::memcpy(&part, x + i + 8 * half, sizeof(part));
      rounded[half] = part * inverse + kRounder;
      const Eight code = rounded[half] - kRounder;
      const Eight left = part - code * scale;
      errors += left * left;
      squares += code * code;
    }
    put_codes(rounded, flip, out + i);
  }
  coded.error += total(errors);
  coded.squares += total(squares);
}

// Codes of x, in two passes over its runs; what is left of a step is padded with zeros.
[[gnu::always_inline]] inline void encode_vector(const float* x, std::uint32_t dim,
                                                 std::uint8_t flip, Coded& coded,
                                                 std::uint8_t* out) {
  const std::uint32_t whole = dim / kStep * kStep;
  float rest[kStep] = {};
  std::memcpy(rest, x + whole, (dim - whole) * sizeof(float));
  Eight mosts = {};
  for (std::uint32_t from = 0; from < whole; from += kRun) {
    measure_run(x + from, std::min(kRun, whole - from), coded.length_square, mosts);
  }
  if (whole < dim) measure_run(rest, kStep, coded.length_square, mosts);
  float most = 0.0f;
  for (std::uint32_t lane = 0; lane < 8; ++lane) most = std::max(most, mosts[lane]);
  float inverse = 0.0f;
  if (most >= kLargestMin) {
    // Rounded up to 16 significant bits, so that no code goes beyond 127.
    const auto bits = std::bit_cast<std::uint32_t>(most / 127.0f);
    coded.scale = std::bit_cast<float>((bits + 0xffu) & ~0xffu);
    inverse = 1.0f / coded.scale;
  }
  for (std::uint32_t from = 0; from < whole; from += kRun) {
    encode_run(x + from, std::min(kRun, whole - from), inverse, flip, coded, out + from);
  }
  if (whole == dim) return;
  std::uint8_t codes[kStep];
  encode_run(rest, kStep, inverse, flip, coded, codes);
  std::memcpy(out + whole, codes, dim - whole);
}

void encode_anywhere(const float* x, std::uint32_t dim, std::uint8_t flip, Coded& coded,
                     std::uint8_t* out) {
  encode_vector(x, dim, flip, coded, out);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void encode_avx2(const float* x, std::uint32_t dim, std::uint8_t flip,
                                         Coded& coded, std::uint8_t* out) {
  encode_vector(x, dim, flip, coded, out);
}
#endif

// Both give the same bits: each lane does the same operations in the same order.
Coded encode(const float* x, std::uint32_t dim, std::uint8_t flip, std::uint8_t* out) {
  Coded coded;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    encode_avx2(x, dim, flip, coded, out);
    return coded;
  }
#endif
  encode_anywhere(x, dim, flip, coded, out);
  return coded;
}

// Whether floats can bound a vector of this length.
bool in_range(Metric metric, double length) {
  return length * kRootSlack <= static_cast<double>(CoarsePlane::kNormMax) &&
         (metric != Metric::cosine || length >= static_cast<double>(CoarsePlane::kUnitNormMin));
}

struct Bounded {
  float scale = 0.0f;
  float square = 0.0f;
  float residual = 0.0f;
  float norm = 0.0f;
};

Bounded bound(Metric metric, double length, const Coded& coded) {
  const bool unit = metric == Metric::cosine;
  const double error = std::sqrt(coded.error) * kRootSlack + kRootFloor;
  Bounded bounded;
  bounded.scale =
      unit ? static_cast<float>(static_cast<double>(coded.scale) / length) : coded.scale;
  const auto scale = static_cast<double>(bounded.scale);
  bounded.square = static_cast<float>(scale * scale * coded.squares);
  bounded.residual = round_up(unit ? error / length * kRootSlack + kUnitSlack : error);
  bounded.norm = unit ? 1.0f : round_up(length * kRootSlack + kRootFloor);
  return bounded;
}

}  // namespace

bool CoarsePlane::serves(const RowShape& shape) {
  return shape.type != ScalarType::bit &&
         (shape.metric == Metric::l2 || shape.metric == Metric::dot ||
          shape.metric == Metric::cosine);
}

std::size_t CoarsePlane::bytes_per_row(const RowShape& shape) {
  return (std::size_t{shape.dim} + kRowAlignment - 1) / kRowAlignment * kRowAlignment +
         4 * sizeof(float);
}

CoarsePlane::CoarsePlane(const RowShape& shape, AlignedBuffer::Use use)
    : metric_(shape.metric),
      type_(shape.type),
      dim_(shape.dim),
      stride_((shape.dim + kRowAlignment - 1) / kRowAlignment * kRowAlignment),
      codes_(std::size_t{shape.capacity} * stride_, use),
      scales_(std::make_unique_for_overwrite<float[]>(shape.capacity)),
      squares_(std::make_unique_for_overwrite<float[]>(shape.capacity)),
      residuals_(std::make_unique_for_overwrite<float[]>(shape.capacity)),
      norms_(std::make_unique_for_overwrite<float[]>(shape.capacity)),
      scratch_(std::make_unique_for_overwrite<float[]>(shape.dim)) {}

void CoarsePlane::set(std::uint32_t position, const std::byte* row) {
  auto* const codes =
      reinterpret_cast<std::uint8_t*>(codes_.data()) + std::size_t{position} * stride_;
  const float* floats = scratch_.get();
  if (type_ == ScalarType::f32 && reinterpret_cast<std::uintptr_t>(row) % alignof(float) == 0) {
    floats = reinterpret_cast<const float*>(row);
  } else {
    row_floats(type_, row, dim_, scratch_.get());
  }
  const Coded coded = encode(floats, dim_, 128, codes);
  const double length = std::sqrt(coded.length_square);
  if (!in_range(metric_, length)) {
    std::memset(codes, 128, stride_);
    scales_[position] = squares_[position] = 0.0f;
    residuals_[position] = norms_[position] = std::numeric_limits<float>::infinity();
    return;
  }
  std::memset(codes + dim_, 128, stride_ - dim_);
  const Bounded bounded = bound(metric_, length, coded);
  scales_[position] = bounded.scale;
  squares_[position] = bounded.square;
  residuals_[position] = bounded.residual;
  norms_[position] = bounded.norm;
}

CoarseQuery make_coarse_query(Metric metric, const float* floats, std::uint32_t dim,
                              std::int8_t* out) {
  CoarseQuery query;
  const Coded coded = encode(floats, dim, 0, reinterpret_cast<std::uint8_t*>(out));
  const double length = std::sqrt(coded.length_square);
  query.served = in_range(metric, length);
  if (!query.served) {
    std::fill(out, out + dim, std::int8_t{0});
    return query;
  }
  for (std::uint32_t i = 0; i < dim; ++i) query.code_sum += out[i];
  const Bounded bounded = bound(metric, length, coded);
  query.scale = bounded.scale;
  query.square = bounded.square;
  query.residual = bounded.residual;
  query.norm = bounded.norm;
  // The root of an exact integer, a product and a quotient of doubles: well within kRootSlack.
  query.coarse_norm =
      round_up(static_cast<double>(bounded.scale) * std::sqrt(coded.squares) * kRootSlack);
  return query;
}

}  // namespace vecserve::engine
