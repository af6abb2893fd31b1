// See read.h.
// Runs on the caller's thread. Always holds: a lookup that meets a publication under way is done
// again, and after a few tries under the publication lock, so that it ends and never mixes two
// moments.
#include "engine/read.h"

#include <shared_mutex>
#include <string>

#include "engine/base/limits.h"
#include "engine/eligible.h"
#include "engine/payload/filter.h"
#include "engine/payload_rows.h"
#include "engine/prepare_write.h"

namespace vecserve::engine {

namespace {

// How often to look again without a lock while writers publish; each look costs well under 1 us.
constexpr int kTriesMax = 4;

struct Lookup {
  std::shared_ptr<const RowSet> rows;
  std::vector<std::optional<RowRef>> places;  // one per id
};

void look(const CollectionCore& core, std::span<const RowId> ids, Lookup& lookup) {
  lookup.rows = core.snapshot();
  const RowSet& rows = *lookup.rows;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const IdView id(ids[i]);
    const auto slot = core.index.find(id, hash_id(id), [&](std::uint64_t candidate) {
      const auto at = rows.find(candidate);
      return at.has_value() && rows.view(at->block).block->id(at->position) == id;
    });
    lookup.places[i] = slot.has_value() ? rows.find(*slot) : std::nullopt;
  }
}

Lookup find_rows(const CollectionCore& core, std::span<const RowId> ids) {
  Lookup lookup;
  lookup.places.resize(ids.size());
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    const std::uint64_t before = core.version.load(std::memory_order_acquire);
    if (before % 2 == 0) {
      look(core, ids, lookup);
      if (core.version.load(std::memory_order_acquire) == before) {
        return lookup;
      }
    }
  }
  const std::shared_lock lock(core.publication_mutex);
  look(core, ids, lookup);
  return lookup;
}

bool expired(const RowBlock& block, std::uint32_t position, std::uint64_t now_ms) {
  const std::uint64_t expires = block.expires_at_ms(position);
  return expires != 0 && expires <= now_ms;
}

}  // namespace

Row make_row(const RowShape& shape, const RowBlock& block, std::uint32_t position,
             std::uint64_t now_ms, bool with_payload, bool with_vector) {
  Row row;
  row.id = block.id(position).to_id();
  if (with_vector) {
    row.vector = Vector(shape.type, shape.dim, {block.vector(position), shape.row_bytes});
  }
  if (with_payload) {
    row.payload = payload_text(block, position);
  }
  const std::uint64_t expires = block.expires_at_ms(position);
  if (expires != 0) {
    row.ttl_ms = expires > now_ms ? expires - now_ms : 0;
  }
  return row;
}

Result<std::vector<std::optional<Row>>> read_rows(const CollectionCore& core,
                                                  std::span<const RowId> ids,
                                                  const GetOptions* with) {
  VECSERVE_TRY(core.usable());
  if (ids.size() > limits::batch_rows_max) {
    return Status::invalid_argument("ids", "more than 1000000 in one call");
  }
  for (const RowId& id : ids) {
    VECSERVE_TRY(check_id(id, "id"));
  }
  const Lookup lookup = find_rows(core, ids);
  const std::uint64_t now_ms = core.runtime->clock.unix_ms();
  std::vector<std::optional<Row>> rows(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!lookup.places[i].has_value()) {
      continue;
    }
    const RowRef at = *lookup.places[i];
    const RowBlock& block = *lookup.rows->view(at.block).block;
    if (expired(block, at.position, now_ms)) {
      continue;
    }
    rows[i] = with == nullptr ? Row()
                              : make_row(core.shape, block, at.position, now_ms, with->with_payload,
                                         with->with_vector);
  }
  return rows;
}

Result<std::uint64_t> count_rows(const CollectionCore& core, std::string_view filter_text) {
  VECSERVE_TRY(core.usable());
  if (filter_text.size() > limits::filter_bytes_max) {
    return Status::invalid_argument("filter", "longer than 1 MiB");
  }
  std::optional<FilterRun> filter;
  if (!filter_text.empty()) {
    const Result<Filter> parsed = Filter::parse(filter_text);
    VECSERVE_TRY(parsed.status());
    filter.emplace(*parsed);
  }
  const std::shared_ptr<const RowSet> rows = core.snapshot();
  const std::uint64_t now_ms = core.runtime->clock.unix_ms();
  std::vector<std::uint64_t> scratch(core.shape.capacity / 64);
  std::uint64_t count = 0;
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    FilterRun* const condition = filter.has_value() ? &*filter : nullptr;
    count += eligible_rows(rows->view(b), now_ms, condition, scratch.data()).count;
  }
  return count;
}

}  // namespace vecserve::engine
