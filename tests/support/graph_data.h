// A graph over seeded, clustered rows for the tests of engine/graph, and the true neighbours to
// compare with. Header only; the test's thread. Always holds: the same seed gives the same rows;
// row i has slot 2 i + 1, so that numbers of nodes and slots are not mistaken for each other.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/graph/entries.h"
#include "engine/graph/repair.h"
#include "tests/support/dice.h"

namespace vecserve::test {

struct GraphData {
  GraphData(std::uint32_t dim_in, std::uint32_t count, std::uint64_t seed,
            Metric metric = Metric::l2)
      : dim(dim_in), shape(engine::RowShape::make(metric, ScalarType::f32, dim_in)) {
    Dice dice(seed);
    std::vector<std::vector<float>> centres(20, std::vector<float>(dim));
    for (auto& centre : centres) {
      for (float& value : centre) value = static_cast<float>(dice.below(1000)) * 0.01f;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      std::vector<float> row = centres[dice.below(centres.size())];
      for (float& value : row) value += static_cast<float>(dice.below(1000)) * 0.002f;
      rows.push_back(std::move(row));
    }
  }

  // Two crowds: the rows up to `first` are `gap` away from the later ones along one direction, and
  // spread alike along the others, where neighbours are some 60 apart.
  static GraphData crowds(std::uint32_t first, std::uint32_t later, float gap, std::uint64_t seed) {
    GraphData data(16, first + later, seed);
    Dice dice(seed + 1);
    for (std::size_t i = 0; i < data.rows.size(); ++i) {
      data.rows[i] = data.in_crowd(dice, i < first ? gap : 0.0f);
    }
    return data;
  }
  [[nodiscard]] std::vector<float> in_crowd(Dice& dice, float at) const {
    std::vector<float> row(dim, 0.0f);
    row[0] = at;
    for (std::uint32_t c = 4; c < dim; ++c) row[c] = static_cast<float>(dice.below(128));
    return row;
  }

  // Rows in clusters, and after them `odd_rows`: each a row of a cluster, but for a part that axes
  // learned from the others see nothing of, 20 long where those of a cluster are some 6 apart.
  static GraphData with_odd_rows(std::uint32_t count, std::uint32_t odd_rows, std::uint64_t seed) {
    constexpr std::uint32_t kSeen = 48;
    constexpr std::uint32_t kUnseenMin = 8;  // fewer coordinates would all be codes
    GraphData data(kSeen + std::max(odd_rows, kUnseenMin), count, seed);
    for (auto& row : data.rows) std::fill(row.begin() + kSeen, row.end(), 0.0f);
    for (std::uint32_t i = 0; i < odd_rows; ++i) {
      data.rows.push_back(data.rows[std::size_t{i} * count / odd_rows]);
      data.rows.back()[kSeen + i] = 20.0f;
    }
    data.odd = odd_rows;
    return data;
  }

  [[nodiscard]] std::shared_ptr<const engine::CodeAxes> axes() const {
    const std::size_t learned = rows.size() - odd;
    std::vector<float> sample;
    for (std::size_t i = 0; i < learned; ++i) {
      sample.insert(sample.end(), rows[i].begin(), rows[i].end());
    }
    return engine::CodeAxes::learn(shape, engine::graph_kernels_for("avx512"), sample,
                                   static_cast<std::uint32_t>(learned), [] { return false; });
  }

  [[nodiscard]] static std::uint64_t slot_of(std::size_t row) { return 2 * row + 1; }
  [[nodiscard]] static std::size_t row_of(std::uint64_t slot) { return (slot - 1) / 2; }

  [[nodiscard]] double distance(const std::vector<float>& a, const std::vector<float>& b) const {
    double sum = 0.0;
    for (std::uint32_t i = 0; i < dim; ++i) {
      const double apart = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      sum += apart * apart;
    }
    return sum;
  }

  // The k nearest rows that `alive` says yes to.
  template <typename Alive>
  [[nodiscard]] std::vector<std::size_t> nearest(const std::vector<float>& query, std::size_t k,
                                                 const Alive& alive) const {
    std::vector<std::pair<double, std::size_t>> all;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (alive(i)) all.emplace_back(distance(query, rows[i]), i);
    }
    std::sort(all.begin(), all.end());
    std::vector<std::size_t> best;
    for (std::size_t i = 0; i < std::min(k, all.size()); ++i) best.push_back(all[i].second);
    return best;
  }

  std::uint32_t dim;
  engine::RowShape shape;
  std::vector<std::vector<float>> rows;
  std::size_t odd = 0;  // the last rows, which axes are not learned from
};

// Finds rows of a graph by a walk.
class GraphWalker {
 public:
  explicit GraphWalker(const engine::Graph& graph)
      : graph_(graph),
        codes_(graph.axes().record_bytes()),
        scratch_(graph.axes().scratch_floats()) {}

  // Rows that a walk finds, nearest by the estimate first.
  std::vector<std::size_t> walk(const std::vector<float>& query, std::uint32_t ef) {
    engine::GraphProbe probe;
    graph_.axes().make_probe(query.data(), scratch_.data(),
                             reinterpret_cast<std::int8_t*>(codes_.data()), probe);
    const engine::ReadEpochs::Reading reading(graph_.epochs);
    beam_.walk(graph_, probe, {ef, UINT32_MAX});
    std::vector<std::size_t> found;
    for (const engine::Near& near : beam_.found()) {
      found.push_back(GraphData::row_of(graph_.slot(near.node)));
    }
    return found;
  }

  engine::Beam& beam() { return beam_; }

 private:
  const engine::Graph& graph_;
  engine::AlignedBuffer codes_;
  std::vector<float> scratch_;
  engine::Beam beam_;
};

}  // namespace vecserve::test
