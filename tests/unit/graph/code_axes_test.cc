// Checks engine/graph/code_axes: that scores order rows as their distances do, for every metric and
// type of axes, and that numbers out of range do no harm. The test's thread. Always holds:
// distances are computed here, in doubles.
#include "engine/graph/code_axes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Coder {
  explicit Coder(std::shared_ptr<const CodeAxes> axes_in)
      : axes(std::move(axes_in)),
        record(axes->record_bytes()),
        codes(axes->record_bytes()),
        scratch(axes->scratch_floats()) {}

  // What the codes say of the squared distance.
  float between(const std::vector<float>& query, const std::vector<float>& row) {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(record.data());
    axes->encode(row.data(), scratch.data(), bytes);
    GraphProbe probe;
    const float square = axes->make_probe(query.data(), scratch.data(),
                                          reinterpret_cast<std::int8_t*>(codes.data()), probe);
    const std::uint8_t* const one = bytes;
    float score = 0.0f;
    axes->kernels().score(probe, &one, 1, &score);
    return square + score;
  }

  // The least that the squared distance may be, for what the axes do not see.
  float least_between(const std::vector<float>& query, const std::vector<float>& row) {
    const float estimate = between(query, row);
    GraphProbe probe;
    axes->make_probe(query.data(), scratch.data(), reinterpret_cast<std::int8_t*>(codes.data()),
                     probe);
    float left = 0.0f;
    std::memcpy(&left, record.data() + axes->record_bytes() - sizeof(left), sizeof(left));
    return estimate - probe.rest_left * left;
  }

  std::shared_ptr<const CodeAxes> axes;
  AlignedBuffer record;
  AlignedBuffer codes;
  std::vector<float> scratch;
};

TEST_CASE("code axes: an estimate is near the squared distance") {
  for (const std::uint32_t dim : {1U, 3U, 16U, 52U, 53U, 100U, 300U}) {
    CAPTURE(dim);
    const GraphData data(dim, 400, 3);
    Coder coder(data.axes());
    CHECK(coder.axes->axis_count() + kGraphTailBytes <= coder.axes->record_bytes());
    double off = 0.0;
    double all = 0.0;
    for (std::size_t i = 0; i + 1 < 200; ++i) {
      const double wanted = data.distance(data.rows[i], data.rows[i + 1]);
      off += std::fabs(static_cast<double>(coder.between(data.rows[i], data.rows[i + 1])) - wanted);
      all += wanted;
    }
    CHECK(off < 0.1 * all);
  }
}

TEST_CASE("code axes: rows of a crowd far from the others keep their distances from each other") {
  for (const std::uint32_t dim : {36U, 52U}) {
    CAPTURE(dim);
    GraphData data(dim, 400, 6);
    // A step of the codes is then some 1.6, beside coordinates of the crowd that lie within 12.
    for (std::size_t i = 0; i < data.rows.size(); i += 2) {
      std::for_each_n(data.rows[i].begin(), 20, [](float& value) { value += 400.0f; });
    }
    Coder coder(data.axes());
    double off = 0.0;
    double all = 0.0;
    for (std::size_t i = 0; i + 2 < data.rows.size(); ++i) {
      const double wanted = data.distance(data.rows[i], data.rows[i + 2]);
      off += std::fabs(static_cast<double>(coder.between(data.rows[i], data.rows[i + 2])) - wanted);
      all += wanted;
      CHECK(coder.between(data.rows[i], data.rows[i]) < 0.1f * static_cast<float>(wanted));
    }
    CHECK(off < 0.1 * all);
  }
}

TEST_CASE("code axes: no row is nearer than it may be, and a row may be at its own place") {
  const GraphData data = GraphData::with_odd_rows(400, 20, 3);
  Coder coder(data.axes());
  constexpr float kRounded = 6.0f;  // of the codes, where rows of a cluster are some 32 apart
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    CAPTURE(i);
    const bool odd = i >= data.rows.size() - data.odd;
    CHECK(coder.least_between(data.rows[i], data.rows[i]) < kRounded);
    CHECK((coder.between(data.rows[i], data.rows[i]) > 400.0f) == odd);
    for (std::size_t other = 0; other < data.rows.size(); other += 7) {
      const double wanted = data.distance(data.rows[i], data.rows[other]);
      CHECK(static_cast<double>(coder.least_between(data.rows[i], data.rows[other])) <
            wanted + static_cast<double>(kRounded));
    }
  }
}

TEST_CASE("code axes: a probe knows the score that its own record has") {
  for (const std::uint32_t dim : {16U, 68U}) {
    CAPTURE(dim);
    const GraphData data =
        dim == 16 ? GraphData(dim, 400, 3) : GraphData::with_odd_rows(400, dim - 48, 3);
    Coder coder(data.axes());
    for (const auto& row : data.rows) {
      const float itself = coder.between(row, row);
      GraphProbe probe;
      const float square =
          coder.axes->make_probe(row.data(), coder.scratch.data(),
                                 reinterpret_cast<std::int8_t*>(coder.codes.data()), probe);
      CHECK(square + probe.own_score == Approx(itself).margin(1e-4 * static_cast<double>(square)));
    }
  }
}

TEST_CASE("code axes: a node asked for is as near to others as its row is") {
  const GraphData data(100, 300, 4);
  Coder coder(data.axes());
  std::vector<std::uint8_t> one(coder.axes->record_bytes());
  for (std::size_t i = 0; i < 20; ++i) {
    coder.axes->encode(data.rows[i].data(), coder.scratch.data(), one.data());
    GraphProbe by_row;
    GraphProbe by_node;
    AlignedBuffer other(coder.axes->record_bytes());
    auto* const row_codes = reinterpret_cast<std::int8_t*>(coder.codes.data());
    auto* const node_codes = reinterpret_cast<std::int8_t*>(other.data());
    const float square =
        coder.axes->make_probe(data.rows[i].data(), coder.scratch.data(), row_codes, by_row);
    CHECK(coder.axes->make_probe(one.data(), node_codes, by_node) == square);
    CHECK(by_node.bias == by_row.bias);
    CHECK(by_node.twice_scale == by_row.twice_scale);
    CHECK(by_node.twice_left == Approx(by_row.twice_left));
  }
}

TEST_CASE("code axes: dot orders rows by their product with the query, cosine by their angle") {
  for (const Metric metric : {Metric::dot, Metric::cosine}) {
    const GraphData data(40, 300, 5, metric);
    Coder coder(data.axes());
    std::uint32_t wrong = 0;
    for (std::size_t i = 0; i + 2 < 200; ++i) {
      const auto& query = data.rows[i];
      const auto product = [&](const std::vector<float>& row) {
        double sum = 0.0;
        double square = 0.0;
        for (std::uint32_t c = 0; c < data.dim; ++c) {
          sum += static_cast<double>(query[c]) * static_cast<double>(row[c]);
          square += static_cast<double>(row[c]) * static_cast<double>(row[c]);
        }
        return metric == Metric::dot ? sum : sum / std::sqrt(square);
      };
      const auto& a = data.rows[i + 1];
      const auto& b = data.rows[i + 2];
      const bool nearer = product(a) > product(b);
      wrong += nearer != (coder.between(query, a) < coder.between(query, b)) ? 1U : 0U;
    }
    CHECK(wrong < 20);
  }
}

TEST_CASE("code axes: numbers out of range stand far away and stay numbers") {
  const GraphData data(30, 300, 6);
  Coder coder(data.axes());
  for (const float value : {1e30f, -1e30f, std::numeric_limits<float>::max()}) {
    std::vector<float> giant = data.rows[0];
    giant[3] = value;
    CHECK(std::isfinite(coder.between(giant, data.rows[1])));
    CHECK(coder.between(data.rows[1], giant) > 1e30f);
    CHECK(std::isfinite(coder.between(giant, giant)));
  }
  CHECK(std::isfinite(coder.between(std::vector<float>(30, 0.0f), std::vector<float>(30, 0.0f))));
}

TEST_CASE("code axes: serves what has a distance and is not too wide") {
  CHECK(CodeAxes::serves(RowShape::make(Metric::l2, ScalarType::f16, kGraphDimMax)));
  CHECK_FALSE(CodeAxes::serves(RowShape::make(Metric::l2, ScalarType::f32, kGraphDimMax + 1)));
  CHECK_FALSE(CodeAxes::serves(RowShape::make(Metric::hamming, ScalarType::bit, 64)));
}

// Bytes of axes, and what comes back for them.
Result<std::shared_ptr<const CodeAxes>> restored(const RowShape& shape, const std::string& bytes) {
  ByteReader in(bytes);
  auto axes = CodeAxes::restore(shape, graph_kernels_for("avx512"), in);
  if (axes.ok()) CHECK(in.done());
  return axes;
}

TEST_CASE("code axes: what was saved comes back and codes the same") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t dim : {1U, 52U, 100U, 300U}) {
      CAPTURE(dim);
      const GraphData data(dim, 300, 8, metric);
      const auto axes = data.axes();
      std::string bytes;
      axes->save(bytes);
      const auto back = restored(data.shape, bytes);
      REQUIRE(back.ok());
      CHECK((*back)->record_bytes() == axes->record_bytes());
      std::string again;
      (*back)->save(again);
      CHECK((again == bytes));
      std::vector<float> scratch(axes->scratch_floats());
      AlignedBuffer records(std::size_t{2} * axes->record_bytes());
      auto* const one = reinterpret_cast<std::uint8_t*>(records.data());
      auto* const other = one + axes->record_bytes();
      for (const auto& row : data.rows) {
        axes->encode(row.data(), scratch.data(), one);
        (*back)->encode(row.data(), scratch.data(), other);
        REQUIRE(std::equal(one, other, other));
      }
    }
  }
}

TEST_CASE("code axes: saved bytes that are cut or hold impossible numbers are refused") {
  for (const std::uint32_t dim : {5U, 100U}) {
    const GraphData data(dim, 300, 9);
    std::string bytes;
    data.axes()->save(bytes);
    REQUIRE(restored(data.shape, bytes).ok());
    for (std::size_t left = 0; left < bytes.size(); left += left < 40 ? 1 : 37) {
      CHECK(restored(data.shape, bytes.substr(0, left)).status().code() == StatusCode::data_loss);
    }
    const auto with = [&bytes](std::size_t at, std::uint32_t bits) {
      std::string changed = bytes;
      std::memcpy(changed.data() + at, &bits, sizeof(bits));
      return changed;
    };
    constexpr std::size_t kCount = 1;
    constexpr std::size_t kLargest = 5;
    constexpr std::size_t kMean = 13;
    const std::uint32_t nan = 0x7fc00000U;
    const std::uint32_t infinite = 0x7f800000U;
    for (const std::uint32_t count : {0U, 3U, 4096U, UINT32_MAX}) {
      CHECK_FALSE(restored(data.shape, with(kCount, count)).ok());
    }
    CHECK_FALSE(restored(data.shape, with(kLargest + 4, 0x7ff00000U)).ok());
    CHECK_FALSE(restored(data.shape, with(kLargest + 4, 0xbff00000U)).ok());
    const std::size_t last = bytes.size() - sizeof(float);
    for (const std::size_t at : {kMean, last}) {
      for (const std::uint32_t bits : {nan, infinite, 0x7f000000U}) {
        CHECK_FALSE(restored(data.shape, with(at, bits)).ok());
      }
    }
    CHECK_FALSE(restored(RowShape::make(Metric::l2, ScalarType::bit, 64), bytes).ok());
  }
}

}  // namespace
