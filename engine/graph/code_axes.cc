// See code_axes.h.
// Any thread. Always holds: scratch is the caller's and of scratch_floats(); codes of a vector lie
// within [-127, 127].
#include "engine/graph/code_axes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

#include "engine/rows/row_norm.h"

namespace vecserve::engine {

namespace {

// The cosine between what the axes do not see of two rows that are near each other. Of a row and
// itself it is one.
constexpr float kLikeness = 0.3f;
// Larger coordinates would make scores that floats do not hold. A vector that has one gets codes of
// zero and stands far from everything.
constexpr float kCoordinateMax = 1e15f;
constexpr double kFarSquare = 1e34;
// What is all shorter has no codes: its inverse is no number.
constexpr float kCodedMin = 1e-30f;
constexpr float kCodeMost = 127.0f;
constexpr std::uint8_t kZeroCode = 128;
// Of an axis of length one: with a larger part than this its codes round off more than those of
// what it sees do, and it is multiplied by what they round off as well.
constexpr float kPeak = 0.25f;
constexpr std::uint32_t kLanes = 16;
// Directions have the length one, but for rounding.
constexpr double kAxisSquareMax = 1.001;

float* aligned(float* scratch) {
  const auto address = reinterpret_cast<std::uintptr_t>(scratch);
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

// The largest size of a number. Of every sixteenth by itself first: those do not wait for each
// other.
float most_of(const float* values, std::uint32_t count) {
  float lanes[kLanes] = {};
  std::uint32_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      const float size = std::fabs(values[i + lane]);
      lanes[lane] = size > lanes[lane] ? size : lanes[lane];
    }
  }
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], std::fabs(values[i]));
  return *std::max_element(std::begin(lanes), std::end(lanes));
}

// Codes of numbers, within [-127, 127], and what one is worth. Truncating what was made positive
// rounds, and can be done for several numbers at once.
template <typename Put>
float put_codes(const float* values, std::uint32_t count, const Put& put) {
  const float most = most_of(values, count);
  if (!(most > kCodedMin)) {
    for (std::uint32_t i = 0; i < count; ++i) put(i, 0);
    return 0.0f;
  }
  const float inverse = kCodeMost / most;
  for (std::uint32_t i = 0; i < count; ++i) {
    const float up = values[i] * inverse + (static_cast<float>(kZeroCode) + 0.5f);
    put(i, static_cast<std::int32_t>(up) - kZeroCode);
  }
  return most / kCodeMost;
}

}  // namespace

CodeAxes::CodeAxes(const RowShape& shape, const GraphKernels& kernels)
    : kernels_(kernels),
      metric_(shape.metric),
      dim_(shape.dim),
      mapped_(shape.dim + (shape.metric == Metric::dot ? 1U : 0U)),
      padded_((mapped_ + kLanes - 1) / kLanes * kLanes) {}

bool CodeAxes::serves(const RowShape& shape) {
  return shape.type != ScalarType::bit && shape.dim <= kGraphDimMax &&
         (shape.metric == Metric::l2 || shape.metric == Metric::dot ||
          shape.metric == Metric::cosine);
}

std::size_t CodeAxes::scratch_floats() const {
  const std::size_t turn = std::size_t{turn_lines_} * kGraphLineBytes / sizeof(float);
  return std::size_t{padded_} + turn + std::size_t{2} * count_ + std::size_t{2} * kLanes;
}

void CodeAxes::make_turns() {
  turn_lines_ = (mapped_ + kGraphTailBytes + kGraphLineBytes - 1) / kGraphLineBytes;
  std::vector<std::uint32_t> axis_of(count_);  // of a record
  std::iota(axis_of.begin(), axis_of.end(), 0U);
  for (std::uint32_t a = 0; a < count_; ++a) {
    const float* const axis = &axes_[std::size_t{a} * padded_];
    const auto peaked = [](float part) { return std::fabs(part) > kPeak; };
    if (std::any_of(axis, axis + mapped_, peaked)) peaked_.push_back(a);
  }
  axis_of.insert(axis_of.end(), peaked_.begin(), peaked_.end());
  const std::size_t bytes = std::size_t{turn_lines_} * kGraphLineBytes;
  turns_ = AlignedBuffer(axis_of.size() * bytes, AlignedBuffer::Use::full);
  std::vector<float> rest(axes_);
  for (const std::uint32_t a : axis_of) {
    float* const axis = &rest[std::size_t{a} * padded_];
    auto* const record =
        reinterpret_cast<std::uint8_t*>(turns_.data()) + turn_places_.size() * bytes;
    std::fill_n(record, bytes, kZeroCode);
    const float scale = put_codes(axis, mapped_, [record](std::uint32_t i, std::int32_t c) {
      record[i] = static_cast<std::uint8_t>(c + kZeroCode);
    });
    for (std::uint32_t i = 0; i < mapped_; ++i) {
      axis[i] -= scale * static_cast<float>(static_cast<std::int32_t>(record[i]) - kZeroCode);
    }
    const float tail[3] = {0.0f, scale, 0.0f};
    std::memcpy(record + bytes - kGraphTailBytes, tail, sizeof(tail));
    turn_places_.push_back(record);
  }
}

bool CodeAxes::map(const float* vector, bool query, float* y) const {
  float scale = 1.0f;
  const double square = metric_ == Metric::l2 ? 0.0 : square_of(vector, dim_);
  if (metric_ == Metric::cosine) {
    scale = square > 0.0 ? static_cast<float>(1.0 / std::sqrt(square)) : 0.0f;
  }
  for (std::uint32_t i = 0; i < dim_; ++i) y[i] = vector[i] * scale - mean_[i];
  if (metric_ == Metric::dot) {
    const double rest = query ? 0.0 : std::max(0.0, largest_ * largest_ - square);
    y[dim_] = static_cast<float>(std::sqrt(rest)) - mean_[dim_];
  }
  std::fill(y + mapped_, y + padded_, 0.0f);
  return most_of(y, mapped_) <= kCoordinateMax;
}

float* CodeAxes::see(const float* vector, bool query, float* scratch, double& square) const {
  float* const y = aligned(scratch);
  if (!map(vector, query, y)) {
    std::fill_n(y, count_, 0.0f);
    square = kFarSquare;
    return y;
  }
  square = square_of(y, mapped_);
  if (!turned_) return y;
  float* const along = y + padded_;
  float* const more = along + count_;  // by records beyond the first of each axis
  float* const codes = aligned(more + count_);
  turn(y, codes, turn_places_, along);
  for (std::size_t i = 0; i < peaked_.size(); ++i) along[peaked_[i]] += more[i];
  // What that rounds off is turned as well: it grows with how long the vector is, and would be more
  // than what rows of a dense crowd lie apart.
  turn(y, codes, std::span(turn_places_).first(count_), more);
  for (std::uint32_t a = 0; a < count_; ++a) along[a] += more[a];
  return along;
}

void CodeAxes::turn(float* y, float* code_place, std::span<const std::uint8_t* const> places,
                    float* along) const {
  auto* const codes = reinterpret_cast<std::int8_t*>(code_place);
  std::fill_n(codes, std::size_t{turn_lines_} * kGraphLineBytes, std::int8_t{0});
  std::int32_t sum = 0;
  const float scale = put_codes(y, mapped_, [codes, &sum](std::uint32_t i, std::int32_t c) {
    codes[i] = static_cast<std::int8_t>(c);
    sum += c;
  });
  GraphProbe probe;
  probe.codes = codes;
  probe.lines = turn_lines_;
  probe.bias = kZeroCode * sum;
  probe.twice_scale = -scale;  // a score takes off what is asked for here
  kernels_.score(probe, places.data(), static_cast<std::uint32_t>(places.size()), along);
  for (std::uint32_t i = 0; i < mapped_; ++i) y[i] -= scale * static_cast<float>(codes[i]);
}

void CodeAxes::code(const float* along, double square, std::int8_t* codes, float (&tail)[3]) const {
  std::memset(codes, 0, record_bytes());
  static_cast<void>(put_codes(along, count_, [codes](std::uint32_t i, std::int32_t c) {
    codes[i] = static_cast<std::int8_t>(c);
  }));
  double products[4] = {};
  std::int32_t squares = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    products[i % 4] += static_cast<double>(along[i]) * codes[i];
    squares += codes[i] * codes[i];
  }
  const double product = (products[0] + products[1]) + (products[2] + products[3]);
  const double scale = squares == 0 ? 0.0 : product / squares;
  // Below zero where `along` came out too long, and so did the codes.
  const double unseen = square - square_of(along, count_);
  tail[0] = static_cast<float>(scale * product + unseen);
  tail[1] = static_cast<float>(scale);
  tail[2] = turned_ ? static_cast<float>(std::sqrt(std::max(0.0, unseen))) : 0.0f;
}

void CodeAxes::encode(const float* row, float* scratch, std::uint8_t* record) const {
  double square = 0.0;
  const float* const along = see(row, false, scratch, square);
  float tail[3];
  code(along, square, reinterpret_cast<std::int8_t*>(record), tail);
  for (std::uint32_t i = 0; i < record_bytes(); ++i) {
    record[i] = static_cast<std::uint8_t>(record[i] ^ kZeroCode);
  }
  std::memcpy(record + record_bytes() - kGraphTailBytes, tail, sizeof(tail));
}

float CodeAxes::make_probe(const float* query, float* scratch, std::int8_t* codes,
                           GraphProbe& probe) const {
  double square = 0.0;
  const float* const along = see(query, true, scratch, square);
  float tail[3];
  code(along, square, codes, tail);
  fill_probe(codes, tail, probe);
  return tail[0];
}

float CodeAxes::make_probe(const std::uint8_t* record, std::int8_t* codes,
                           GraphProbe& probe) const {
  std::memset(codes, 0, record_bytes());
  for (std::uint32_t i = 0; i < count_; ++i) {
    codes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(record[i]) - kZeroCode);
  }
  float tail[3];
  std::memcpy(tail, record + record_bytes() - kGraphTailBytes, sizeof(tail));
  fill_probe(codes, tail, probe);
  return tail[0];
}

void CodeAxes::fill_probe(const std::int8_t* codes, const float (&tail)[3],
                          GraphProbe& probe) const {
  const auto [square, scale, left] = tail;
  std::int32_t sum = 0;
  std::int32_t squares = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    sum += codes[i];
    squares += codes[i] * codes[i];
  }
  probe.codes = codes;
  probe.lines = lines_;
  probe.bias = kZeroCode * sum;
  probe.twice_scale = 2.0f * scale;
  probe.twice_left = 2.0f * kLikeness * left;
  probe.rest_left = 2.0f * (1.0f - kLikeness) * left;
  probe.own_score =
      square - probe.twice_scale * scale * static_cast<float>(squares) - probe.twice_left * left;
}

void CodeAxes::save(std::string& out) const {
  const auto put = [&out](float value) { put_fixed(out, std::bit_cast<std::uint32_t>(value)); };
  put_fixed(out, static_cast<std::uint8_t>(turned_ ? 1 : 0));
  put_fixed(out, count_);
  put_fixed(out, std::bit_cast<std::uint64_t>(largest_));
  for (std::uint32_t i = 0; i < mapped_; ++i) put(mean_[i]);
  if (!turned_) return;
  for (std::uint32_t a = 0; a < count_; ++a) {
    for (std::uint32_t i = 0; i < mapped_; ++i) put(axes_[std::size_t{a} * padded_ + i]);
  }
}

bool CodeAxes::read(ByteReader& in) {
  // Nothing is allocated for a count that the bytes do not hold.
  std::uint8_t turned = 0;
  std::uint64_t largest = 0;
  if (!in.fixed(turned) || turned > 1 || !in.fixed(count_) || !in.fixed(largest)) return false;
  turned_ = turned == 1;
  largest_ = std::bit_cast<double>(largest);
  if (!(largest_ >= 0.0 && std::isfinite(largest_))) return false;
  const bool counted = turned_ ? count_ > 0 && count_ % 4 == 0 &&
                                     count_ <= kTurnedLinesMax * kGraphLineBytes - kGraphTailBytes
                               : count_ == mapped_;
  const std::size_t floats = std::size_t{mapped_} * (turned_ ? std::size_t{count_} + 1 : 1);
  if (!counted || in.left() < floats * sizeof(float)) return false;
  lines_ = (count_ + kGraphTailBytes + kGraphLineBytes - 1) / kGraphLineBytes;
  const auto take = [&in](float& value) {
    std::uint32_t bits = 0;
    if (!in.fixed(bits)) return false;
    value = std::bit_cast<float>(bits);
    return std::isfinite(value);
  };
  mean_.assign(padded_, 0.0f);
  for (std::uint32_t i = 0; i < mapped_; ++i) {
    if (!take(mean_[i]) || std::fabs(mean_[i]) > kCoordinateMax) return false;
  }
  if (!turned_) return true;
  axes_.assign(std::size_t{count_} * padded_, 0.0f);
  for (std::uint32_t a = 0; a < count_; ++a) {
    float* const axis = &axes_[std::size_t{a} * padded_];
    for (std::uint32_t i = 0; i < mapped_; ++i) {
      if (!take(axis[i])) return false;
    }
    // What an axis sees of a vector is then no longer than that.
    if (!(square_of(axis, mapped_) <= kAxisSquareMax)) return false;
  }
  make_turns();
  return true;
}

Result<std::shared_ptr<const CodeAxes>> CodeAxes::restore(const RowShape& shape,
                                                          const GraphKernels& kernels,
                                                          ByteReader& in) {
  const std::shared_ptr<CodeAxes> axes(new CodeAxes(shape, kernels));
  if (!serves(shape) || !axes->read(in)) {
    return {StatusCode::data_loss, "stored axes of a graph are damaged"};
  }
  return std::shared_ptr<const CodeAxes>(axes);
}

}  // namespace vecserve::engine
