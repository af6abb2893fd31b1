// See load.h.
// Runs on the loading threads: each part of a collection belongs to one of them; the index locks by
// shard. Always holds: blocks of part p come before those of part p + 1 in the row set.
#include "engine/load.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/payload_rows.h"

namespace vecserve::engine {

namespace {

// Times the shards and the parts, 24 bytes each: a few MiB while loading.
constexpr std::size_t kIdsPerInsert = 256;

}  // namespace

struct Loader::Loading {
  struct Part {
    std::vector<std::shared_ptr<RowBlock>> blocks;
    std::vector<FieldValue> fields;
    // Ids on their way to the index, gathered by shard: one lock and one warm table for many.
    std::array<std::vector<IdIndex::Loaded>, IdIndex::kShards> ids;
    // Ids with one hash: told apart when all rows are there.
    std::vector<IdIndex::Clash> clashes;
  };

  std::shared_ptr<CollectionCore> core;
  std::vector<Part> parts;
};

Loader::Loader(std::shared_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}
Loader::~Loader() = default;

LoadSink Loader::sink() {
  LoadSink sink;
  sink.collection = [this](const StoredCollection& stored, std::uint32_t parts) {
    return add_collection(stored, parts);
  };
  sink.row = [this](std::uint32_t collection, std::uint32_t part, std::uint64_t slot,
                    const StoreRow& row) { return add_row(collection, part, slot, row); };
  sink.request = [this](const RequestId& id, const RequestOutcome& outcome) {
    runtime_->requests.add(id, outcome);
    return Status();
  };
  return sink;
}

Status Loader::add_collection(const StoredCollection& stored, std::uint32_t parts) {
  auto loading = std::make_unique<Loading>();
  loading->core =
      std::make_shared<CollectionCore>(runtime_, stored.id, stored.name, stored.options);
  loading->core->counters = stored.counters;
  loading->core->slots.store(stored.counters.next_slot, std::memory_order_relaxed);
  loading->parts.resize(parts);
  // An even share per shard, and what chance adds to it: four standard deviations.
  const double share = static_cast<double>(stored.counters.live_rows) / IdIndex::kShards;
  std::array<std::uint32_t, IdIndex::kShards> expected;
  expected.fill(static_cast<std::uint32_t>(std::min(share + 4.0 * std::sqrt(share), 1e9)));
  loading->core->index.reserve(expected);
  loading_[stored.id] = std::move(loading);
  return {};
}

Status Loader::add_row(std::uint32_t collection, std::uint32_t part, std::uint64_t slot,
                       const StoreRow& row) {
  Loading& loading = *loading_.find(collection)->second;
  CollectionCore& core = *loading.core;
  Loading::Part& mine = loading.parts[part];
  mine.fields.resize(core.options.fields.size());
  if (!core.options.fields.empty()) {
    const Status checked = check_payload(row.payload, core.options.fields, mine.fields);
    if (!checked.ok()) {
      return {StatusCode::data_loss, "collection \"" + core.name + "\", slot " +
                                         std::to_string(slot) + ": " + checked.message()};
    }
  }
  if (mine.blocks.empty() || !mine.blocks.back()->accepts(slot)) {
    const bool first = mine.blocks.empty();
    mine.blocks.push_back(make_payload_block(
        core.shape, core.options.fields,
        first ? AlignedBuffer::Use::sparse : AlignedBuffer::Use::full, RowBlock::Planes::later));
  }
  RowBlock& block = *mine.blocks.back();
  append_payload(block, row.payload, mine.fields);
  block.append(slot, row.id, row.vector.data(), row.expires_at_ms);
  const std::uint64_t hash = hash_id(row.id);
  std::vector<IdIndex::Loaded>& ids = mine.ids[IdIndex::shard_of(hash)];
  ids.push_back({hash, slot, row.id.is_number()});
  if (ids.size() == kIdsPerInsert) {
    core.index.insert_loaded(ids, mine.clashes);
    ids.clear();
  }
  return {};
}

// The last ids go to the index; those that share a hash are told apart now that every row is there.
Status Loader::settle_ids(Loading& loading) {
  CollectionCore& core = *loading.core;
  std::vector<IdIndex::Clash> clashes;
  for (Loading::Part& part : loading.parts) {
    for (std::vector<IdIndex::Loaded>& ids : part.ids) {
      core.index.insert_loaded(ids, part.clashes);
      ids = {};
    }
    clashes.insert(clashes.end(), part.clashes.begin(), part.clashes.end());
  }
  const std::shared_ptr<const RowSet> rows = core.snapshot();
  const auto id_of = [&](std::uint64_t slot) {
    const RowRef at = rows->find(slot).value();
    return rows->view(at.block).block->id(at.position);
  };
  for (std::size_t c = 0; c < clashes.size(); ++c) {
    const IdView id = id_of(clashes[c].other);
    bool twice = id_of(clashes[c].indexed) == id;
    for (std::size_t before = 0; before < c; ++before) {
      twice = twice || id_of(clashes[before].other) == id;
    }
    if (twice) {
      return {StatusCode::data_loss, "collection \"" + core.name + "\": row " +
                                         id.to_id().to_string() + " is stored twice"};
    }
    std::array<std::uint32_t, IdIndex::kShards> extra{};
    extra[IdIndex::shard_of(clashes[c].hash)] = 1;
    core.index.reserve(extra);
    core.index.insert(id.is_number(), clashes[c].hash, clashes[c].other);
  }
  return {};
}

Result<Catalog> Loader::finish(std::uint64_t sequence) {
  Catalog catalog;
  for (auto& [number, loading] : loading_) {
    CollectionCore& core = *loading->core;
    RowSetEditor editor(core.snapshot());
    std::shared_ptr<RowBlock> last;
    for (Loading::Part& part : loading->parts) {
      for (std::shared_ptr<RowBlock>& block : part.blocks) {
        last = block;
        editor.add_block(std::move(block));
      }
    }
    // The others get theirs in the background; this one goes on growing.
    if (last != nullptr) {
      last->fill_planes();
    }
    core.publish(editor.finish(sequence));
    VECSERVE_TRY(settle_ids(*loading));
    catalog[core.name] = loading->core;
  }
  runtime_->sequence.store(sequence, std::memory_order_release);
  return catalog;
}

}  // namespace vecserve::engine
