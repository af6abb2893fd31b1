// See verify.h.
// Runs on the committing thread and on the store's reading threads.
// Always holds: each stored row is looked up by its slot; counts at the end catch rows that are
// served but not stored.
#include "engine/verify.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <string>

#include "engine/payload_rows.h"
#include "engine/store/record.h"

namespace vecserve::engine {

namespace {

struct Checked {
  const CollectionCore* core = nullptr;
  std::shared_ptr<const RowSet> rows;
  std::atomic<std::uint64_t> seen{0};
};

Status differs(const CollectionCore& core, const std::string& what) {
  return {StatusCode::data_loss, "collection \"" + core.name + "\": " + what};
}

Status check_row(Checked& checked, std::uint64_t slot, const StoreRow& row) {
  const auto at = checked.rows->find(slot);
  if (!at.has_value()) {
    return differs(*checked.core, "slot " + std::to_string(slot) + " is stored but not served");
  }
  const RowBlock& block = *checked.rows->view(at->block).block;
  const std::byte* const vector = block.vector(at->position);
  const bool same = block.id(at->position) == row.id &&
                    block.expires_at_ms(at->position) == row.expires_at_ms &&
                    payload_text(block, at->position) == row.payload &&
                    std::equal(row.vector.begin(), row.vector.end(), vector);
  if (!same) {
    return differs(*checked.core,
                   "slot " + std::to_string(slot) + " is stored and served with different content");
  }
  const auto indexed = checked.core->index.find(
      row.id, hash_id(row.id), [slot](std::uint64_t candidate) { return candidate == slot; });
  if (indexed != slot) {
    return differs(*checked.core,
                   "slot " + std::to_string(slot) + " is stored but not found by its id");
  }
  checked.seen.fetch_add(1, std::memory_order_relaxed);
  return {};
}

}  // namespace

Result<VerifyReport> verify_store(Store& store,
                                  const std::vector<std::shared_ptr<CollectionCore>>& collections) {
  std::map<std::uint32_t, Checked> all;
  for (const auto& core : collections) {
    Checked& checked = all[core->id];
    checked.core = core.get();
    checked.rows = core->snapshot();
  }
  LoadSink sink;
  sink.collection = [&](const StoredCollection& stored, std::uint32_t) -> Status {
    const auto found = all.find(stored.id);
    if (found == all.end()) {
      return {StatusCode::data_loss, "collection \"" + stored.name + "\" is stored but not served"};
    }
    if (!(found->second.core->counters == stored.counters) ||
        !(found->second.core->options == stored.options)) {
      return differs(*found->second.core, "its stored description differs");
    }
    return {};
  };
  sink.row = [&](std::uint32_t collection, std::uint32_t, std::uint64_t slot, const StoreRow& row) {
    return check_row(all.find(collection)->second, slot, row);
  };
  sink.request = [](const RequestId&, const RequestOutcome&) { return Status(); };
  Result<VerifyReport> report = store.verify(sink);
  VECSERVE_TRY(report.status());
  if (!store.keeps_rows()) return report;  // in memory there is nothing to compare with
  for (const auto& [id, checked] : all) {
    const std::uint64_t seen = checked.seen.load(std::memory_order_relaxed);
    if (seen != checked.rows->live_count()) {
      return differs(*checked.core, std::to_string(checked.rows->live_count()) +
                                        " rows are served, " + std::to_string(seen) +
                                        " are stored");
    }
  }
  return report;
}

}  // namespace vecserve::engine
