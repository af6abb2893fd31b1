// A small collection, a query or more on it, and its true answers: what most tests of the GPU's
// parts need. Comes after data and oracle. Test thread only. Always holds: the same seed gives the
// same rows; all rows are eligible until a test says otherwise; decaying rows differ most along few
// directions, as real ones do.
#pragma once

#include <string>
#include <vector>

#include "engine/scan/rescore.h"
#include "tests/support/data.h"
#include "tests/support/match.h"
#include "tests/support/oracle.h"
#include "tests/support/sketches.h"

namespace vecserve::test::simt {

struct GpuCase {
  GpuCase(Metric metric, std::uint32_t dim, std::uint32_t row_count, std::uint32_t block_rows,
          std::uint32_t query_count, std::uint64_t seed, bool decaying = false,
          ScalarType type = ScalarType::f32)
      : rows(shape_of(metric, dim, type)) {
    VectorSource source(rows.shape(), DataKind::normal, seed);
    const auto next_row = [&] {
      std::vector<std::byte> row = source.next_row();
      auto* const floats = reinterpret_cast<float*>(row.data());
      for (std::uint32_t i = 0; decaying && i < dim; ++i)
        floats[i] *= 4.0f / static_cast<float>(4 + i * i / 4);
      return row;
    };
    for (std::uint32_t r = 0; r < row_count; ++r) {
      rows.add(next_row(), engine::IdView(std::uint64_t{r}), block_rows);
    }
    blocks = rows.scan_blocks();
    for (std::uint32_t q = 0; q < query_count; ++q) {
      queries.emplace_back(rows.shape(), next_row());
      views.push_back(queries.back().view());
      views.back().want = 10;
      views.back().k = 5;
    }
    bits = rows.all_bits();
    masks.push_back(make_mask(bits));
  }

  // All blocks but the last get their sketch.
  void sketch() { planes = make_sketches(rows.shape(), blocks); }

  static engine::RowShape shape_of(Metric metric, std::uint32_t dim,
                                   ScalarType type = ScalarType::f32) {
    engine::RowShape shape = engine::RowShape::make(metric, type, dim);
    shape.coarse = true;
    return shape;
  }
  [[nodiscard]] engine::ScanRequest request() const {
    engine::ScanRequest request;
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
    return request;
  }
  // "" or what is wrong with the candidates, and with the answers made of them.
  [[nodiscard]] std::string wrong(engine::ScanResult& result) const {
    for (std::size_t q = 0; q < views.size(); ++q) {
      const auto truth = oracle_rows(rows.shape(), blocks, masks[views[q].mask], views[q].f32);
      std::string text = contract_violation(views[q], result.queries[q], truth);
      if (!text.empty()) return "query " + std::to_string(q) + ": " + text;
      std::vector<engine::Scored> best;
      std::vector<engine::Candidate> spare;
      const engine::Decision decision =
          engine::rescore(rows.shape(), blocks, views[q], 5, result.queries[q], spare, best);
      if (!decision.certified) continue;
      text = answer_difference(blocks, best, truth, 5);
      if (!text.empty()) return "query " + std::to_string(q) + ": " + text;
    }
    return {};
  }

  TestRows rows;
  std::vector<engine::ScanBlock> blocks;
  std::vector<TestQuery> queries;
  std::vector<engine::ScanQuery> views;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<engine::ScanMask> masks;
  std::vector<std::shared_ptr<const engine::SketchPlane>> planes;
};

}  // namespace vecserve::test::simt
