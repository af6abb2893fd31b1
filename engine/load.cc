// See load.h.
// Runs on the loading threads: each part of a collection belongs to one of them; the index locks by
// shard. Always holds: blocks of part p come before those of part p + 1 in the row set.
#include "engine/load.h"

#include <utility>

#include "engine/payload_rows.h"

namespace vecserve::engine {

struct Loader::Loading {
  struct Part {
    std::vector<std::shared_ptr<RowBlock>> blocks;
    std::vector<FieldValue> fields;
  };
  // Two byte-string ids with one hash: told apart when all rows are there.
  struct Collision {
    std::uint64_t hash = 0;
    std::uint64_t indexed = 0;
    std::uint64_t other = 0;
  };

  std::shared_ptr<CollectionCore> core;
  std::vector<Part> parts;
  std::mutex collisions_mutex;
  std::vector<Collision> collisions;
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
    mine.blocks.push_back(make_payload_block(core.shape, core.options.fields));
  }
  RowBlock& block = *mine.blocks.back();
  append_payload(block, row.payload, mine.fields);
  block.append(slot, row.id, row.vector.data(), row.expires_at_ms);
  const std::uint64_t hash = hash_id(row.id);
  const auto there = core.index.insert_unless_there(row.id.is_number(), hash, slot);
  if (there.has_value()) {
    const std::lock_guard lock(loading.collisions_mutex);
    loading.collisions.push_back({hash, *there, slot});
  }
  return {};
}

Result<Catalog> Loader::finish(std::uint64_t sequence) {
  Catalog catalog;
  for (auto& [number, loading] : loading_) {
    CollectionCore& core = *loading->core;
    RowSetEditor editor(core.snapshot());
    for (Loading::Part& part : loading->parts) {
      for (std::shared_ptr<RowBlock>& block : part.blocks) {
        editor.add_block(std::move(block));
      }
    }
    core.publish(editor.finish(sequence));
    const std::shared_ptr<const RowSet> rows = core.snapshot();
    for (const Loading::Collision& collision : loading->collisions) {
      const RowRef a = rows->find(collision.indexed).value();
      const RowRef b = rows->find(collision.other).value();
      const IdView id = rows->view(b.block).block->id(b.position);
      if (rows->view(a.block).block->id(a.position) == id) {
        return {StatusCode::data_loss, "collection \"" + core.name + "\": row " +
                                           id.to_id().to_string() + " is stored twice"};
      }
      std::array<std::uint32_t, IdIndex::kShards> extra{};
      extra[IdIndex::shard_of(collision.hash)] = 1;
      core.index.reserve(extra);
      core.index.insert(false, collision.hash, collision.other);
    }
    catalog[core.name] = loading->core;
  }
  runtime_->sequence.store(sequence, std::memory_order_release);
  return catalog;
}

}  // namespace vecserve::engine
