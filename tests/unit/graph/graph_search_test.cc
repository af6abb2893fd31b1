// Checks engine/graph/graph_search: nodes become rows of the snapshot, dead and unknown ones are
// passed over, masks are obeyed, and the tail is cut where the watermark says. The test's thread.
// Always holds: row sets are made by the editor, as in the product.
#include "engine/graph/graph_search.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 4'096;  // blocks of 256 rows

struct Snapshot {
  explicit Snapshot(std::uint32_t count) : data(kDim, count, 41), graph(data.axes()) {
    RowSetEditor editor(nullptr);
    Linker linker(graph);
    for (std::size_t i = 0; i < data.rows.size(); ++i) {
      const std::uint64_t slot = GraphData::slot_of(i);
      if (editor.open_block(slot) == nullptr) {
        editor.add_block(std::make_shared<RowBlock>(data.shape));
      }
      editor.append(slot, IdView(std::uint64_t{i}),
                    reinterpret_cast<const std::byte*>(data.rows[i].data()), 0);
      REQUIRE(linker.link(slot, data.rows[i].data()));
    }
    rows = editor.finish(1);
  }

  void kill(std::size_t row) {
    RowSetEditor editor(rows);
    REQUIRE(editor.kill(GraphData::slot_of(row)));
    rows = editor.finish(2);
  }

  ScanMask mask() const {
    ScanMask made;
    for (std::size_t b = 0; b < rows->block_count(); ++b) {
      made.words.push_back(rows->view(b).live->words.data());
      made.eligible.push_back(rows->view(b).live->live);
    }
    return made;
  }

  std::vector<ScanBlock> blocks() const {
    std::vector<ScanBlock> made;
    for (std::size_t b = 0; b < rows->block_count(); ++b) {
      made.push_back({rows->view(b).block.get(), rows->view(b).count, nullptr});
    }
    return made;
  }

  GraphData data;
  Graph graph;
  std::shared_ptr<const RowSet> rows;
};

std::uint64_t id_of(const RowSet& rows, const Candidate& candidate) {
  return rows.view(candidate.block).block->id(candidate.position).number;
}

TEST_CASE("graph search: candidates are live rows of the snapshot, near ones") {
  Snapshot snapshot(600);
  snapshot.kill(300);
  AlignedBuffer floats(kDim * sizeof(float));
  std::copy(snapshot.data.rows[300].begin(), snapshot.data.rows[300].end(),
            reinterpret_cast<float*>(floats.data()));
  ScanQuery query;
  query.f32 = reinterpret_cast<const float*>(floats.data());
  GraphSearch search;
  QueryCandidates found;
  CHECK(search.search({&snapshot.graph, snapshot.rows.get(), 30}, query, snapshot.mask(), found));
  CHECK(found.list.size() == 29);
  CHECK(found.floor < 0.0);
  std::set<std::uint64_t> ids;
  for (const Candidate& candidate : found.list) ids.insert(id_of(*snapshot.rows, candidate));
  CHECK(ids.size() == 29);
  CHECK(ids.count(300) == 0);
  std::size_t right = 0;
  for (const std::size_t row :
       snapshot.data.nearest(snapshot.data.rows[300], 10, [](std::size_t i) { return i != 300; })) {
    right += ids.count(row);
  }
  CHECK(right >= 9);
}

TEST_CASE("graph search: with a narrow mask all that match are found") {
  const Snapshot snapshot(600);
  std::vector<std::vector<std::uint64_t>> words(snapshot.rows->block_count());
  ScanMask mask;
  for (auto& of_block : words) {
    of_block.assign(4, 0x8000000000000001ULL);
    mask.words.push_back(of_block.data());
    mask.eligible.push_back(8);
  }
  mask.words[1] = nullptr;
  AlignedBuffer floats(kDim * sizeof(float));
  ScanQuery query;
  query.f32 = reinterpret_cast<const float*>(floats.data());
  GraphSearch search;
  QueryCandidates found;
  GraphRequest request{&snapshot.graph, snapshot.rows.get(), 20};
  request.filtered = true;
  CHECK(search.search(request, query, mask, found));
  for (const Candidate& candidate : found.list) {
    CHECK(candidate.block != 1);
    CHECK((candidate.position % 64 == 0 || candidate.position % 64 == 63));
  }
  // Of 600 rows: 8 of the first block, and positions 0 and 63 of the 88 of the last.
  CHECK(found.list.size() == 11);
}

TEST_CASE("graph search: the tail has the rows from the watermark on, and no others") {
  Snapshot snapshot(600);
  snapshot.kill(599);
  for (const std::size_t from : {0U, 1U, 255U, 256U, 300U, 511U, 599U, 600U}) {
    CAPTURE(from);
    const std::uint64_t slot = GraphData::slot_of(from);
    CHECK(rows_from(*snapshot.rows, slot) == 600 - from);
    CHECK(rows_from(*snapshot.rows, slot - 1) == 600 - from);
    const auto blocks = snapshot.blocks();
    const ScanMask mask = snapshot.mask();
    ScanRequest whole;
    whole.shape = snapshot.data.shape;
    whole.blocks = blocks;
    whole.masks = {&mask, 1};
    GraphTail tail;
    REQUIRE(tail.cut(whole, *snapshot.rows, slot) == (from < 600));
    if (from == 600) continue;
    std::set<std::uint64_t> ids;
    const ScanMask& cut = tail.request().masks[0];
    std::uint32_t eligible = 0;
    for (std::size_t b = 0; b < tail.request().blocks.size(); ++b) {
      eligible += cut.eligible[b];
      const ScanBlock& block = tail.request().blocks[b];
      CHECK(block.block == blocks[tail.first_block() + b].block);
      for (std::uint32_t r = 0; cut.words[b] != nullptr && r < block.count; ++r) {
        if ((cut.words[b][r / 64] >> (r % 64) & 1) != 0) ids.insert(block.block->id(r).number);
      }
    }
    CHECK(ids.size() == 599 - from);
    CHECK(eligible == ids.size());
    if (!ids.empty()) CHECK(*ids.begin() == from);
  }
}

}  // namespace
