// See stage.h.
// Runs on the committing thread. Always holds: counters_.live_rows and live_hash describe exactly
// the rows alive in editor_; changes_ replayed in order turns the index of base_ into that of
// editor_.
#include "engine/stage.h"

#include <bit>
#include <mutex>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/payload/column_block.h"
#include "engine/payload_rows.h"
#include "engine/store/record.h"

namespace vecserve::engine {

Stage::Stage(CollectionCore& core)
    : core_(core), base_(core.snapshot()), editor_(base_), counters_(core.counters) {}

const Stage::Change* Stage::staged(const IdView& id, std::uint64_t hash) const {
  if (newest_.empty()) {
    return nullptr;
  }
  const std::size_t mask = newest_.size() - 1;
  for (std::size_t at = hash & mask; newest_[at] != 0; at = (at + 1) & mask) {
    const Change& change = changes_[newest_[at] - 1];
    if (change.hash == hash && change.id == id) {
      return &change;
    }
  }
  return nullptr;
}

void Stage::record_change(Change change) {
  changes_.push_back(change);
  if (newest_.size() < changes_.size() * 2) {
    std::vector<std::uint32_t> larger(std::bit_ceil(changes_.size() * 4));
    const std::size_t mask = larger.size() - 1;
    for (const std::uint32_t entry : newest_) {
      if (entry != 0) {
        std::size_t at = changes_[entry - 1].hash & mask;
        while (larger[at] != 0) {
          at = (at + 1) & mask;
        }
        larger[at] = entry;
      }
    }
    newest_.swap(larger);
  }
  const std::size_t mask = newest_.size() - 1;
  std::size_t at = change.hash & mask;
  while (newest_[at] != 0) {
    const Change& other = changes_[newest_[at] - 1];
    if (other.hash == change.hash && other.id == change.id) {
      break;
    }
    at = (at + 1) & mask;
  }
  newest_[at] = static_cast<std::uint32_t>(changes_.size());
  if (!change.old_slot.has_value()) {
    ++inserts_[IdIndex::shard_of(change.hash)];
  }
}

std::optional<std::uint64_t> Stage::find(const IdView& id, std::uint64_t hash) const {
  if (const Change* change = staged(id, hash)) {
    return change->new_slot;
  }
  return core_.index.find(id, hash, [&](std::uint64_t slot) {
    const auto at = base_->find(slot);
    return at.has_value() && base_->view(at->block).block->id(at->position) == id;
  });
}

bool Stage::is_expired(std::uint64_t slot, std::uint64_t now_ms) const {
  const auto at = editor_.find(slot);
  VECSERVE_CHECK(at.has_value());
  const std::uint64_t expires = editor_.view(at->block).block->expires_at_ms(at->position);
  return expires != 0 && expires <= now_ms;
}

Status Stage::check_rows(const WriteOp& op) const {
  if (op.kind == WriteOp::Kind::upsert) {
    return {};
  }
  const bool want_present = op.kind == WriteOp::Kind::update;
  for (const WriteRow& row : op.rows) {
    const auto slot = find(row.id, row.hash);
    const bool present = slot.has_value() && !is_expired(*slot, op.now_ms);
    if (present != want_present) {
      const StatusCode code = present ? StatusCode::already_exists : StatusCode::not_found;
      return {code, "row " + row.id.to_id().to_string() + (present ? " exists" : " does not exist"),
              "id"};
    }
  }
  return {};
}

// Fills in what an update leaves out, from the row as it is now. The record is encoded here and not
// by the caller, because only now is it certain which row that is.
void Stage::complete_row(WriteOp& op, WriteRow& row, std::uint64_t slot) {
  const auto at = editor_.find(slot);
  VECSERVE_CHECK(at.has_value());
  const RowBlock& block = *editor_.view(at->block).block;
  if (!row.has_vector) {
    row.vector_at = op.vectors.size();
    const std::byte* vector = block.vector(at->position);
    op.vectors.insert(op.vectors.end(), vector, vector + core_.shape.row_bytes);
  }
  if (!row.has_payload) {
    row.payload = payload_text(block, at->position);
    payload_fields(block, at->position,
                   {op.fields.data() + row.fields_at, core_.options.fields.size()});
  }
  if (!row.has_ttl) {
    row.expires_at_ms = block.expires_at_ms(at->position);
  }
  row.record_at = op.records.size();
  encode_record({row.id,
                 row.expires_at_ms,
                 row.payload,
                 {op.vectors.data() + row.vector_at, core_.shape.row_bytes}},
                op.records);
  row.record_bytes = op.records.size() - row.record_at;
}

Status Stage::complete_update(WriteOp& op) {
  if (op.kind == WriteOp::Kind::update) {
    for (WriteRow& row : op.rows) {
      if (row.record_bytes == 0) {
        complete_row(op, row, find(row.id, row.hash).value());
      }
    }
  }
  // Views into op.records are taken only after this, when it has stopped growing.
  return counters_.next_slot + op.rows.size() < limits::slots_max
             ? Status()
             : Status(StatusCode::resource_exhausted, "the collection has used up its slots");
}

void Stage::append_row(const WriteOp& op, const WriteRow& row, std::uint64_t slot) {
  if (editor_.open_block(slot) == nullptr) {
    const bool first = counters_.live_rows < core_.shape.capacity;
    editor_.add_block(
        make_payload_block(core_.shape, core_.options.fields,
                           first ? AlignedBuffer::Use::sparse : AlignedBuffer::Use::full));
  }
  RowBlock& block = *editor_.open_block(slot);
  // Texts first: what a failed row append leaves behind there is overwritten by the next one.
  append_payload(block, row.payload,
                 {op.fields.data() + row.fields_at, core_.options.fields.size()});
  editor_.append(slot, row.id, op.vectors.data() + row.vector_at, row.expires_at_ms);
}

void Stage::put_row(WriteOp& op, const WriteRow& row, StoreBatch& batch) {
  Change change{row.hash, row.id, find(row.id, row.hash), counters_.next_slot};
  if (change.old_slot.has_value()) {
    batch.erase_rows.push_back({core_.id, *change.old_slot});
    VECSERVE_CHECK(editor_.kill(*change.old_slot));
    counters_.live_hash -= row_hash(core_.id, *change.old_slot, row.id);
    --counters_.live_rows;
  }
  const std::uint64_t slot = counters_.next_slot++;
  append_row(op, row, slot);
  batch.put_rows.push_back(
      {core_.id, slot, std::string_view(op.records).substr(row.record_at, row.record_bytes)});
  counters_.live_hash += row_hash(core_.id, slot, row.id);
  ++counters_.live_rows;
  ++written_;
  record_change(change);
}

std::uint64_t Stage::erase_rows(WriteOp& op, StoreBatch& batch) {
  std::uint64_t erased = 0;
  for (const SlotToErase& erase : op.erases) {
    const auto slot = find(erase.id, erase.hash);
    if (!slot.has_value() || (op.kind == WriteOp::Kind::erase_slots && *slot != erase.slot)) {
      continue;
    }
    // A row that has expired is removed here too, but to the caller it was not there any more.
    const bool counts = op.kind == WriteOp::Kind::erase_slots || !is_expired(*slot, op.now_ms);
    VECSERVE_CHECK(editor_.kill(*slot));
    batch.erase_rows.push_back({core_.id, *slot});
    counters_.live_hash -= row_hash(core_.id, *slot, erase.id);
    --counters_.live_rows;
    record_change({erase.hash, erase.id, *slot, std::nullopt});
    erased += counts ? 1 : 0;
  }
  erased_ += erased;
  return erased;
}

void Stage::add(WriteOp& op, StoreBatch& batch) {
  if (op.kind == WriteOp::Kind::erase || op.kind == WriteOp::Kind::erase_slots) {
    op.result.rows = erase_rows(op, batch);
    return;
  }
  op.status = check_rows(op);
  if (op.status.ok()) {
    op.status = complete_update(op);
  }
  if (!op.status.ok()) {
    return;
  }
  for (const WriteRow& row : op.rows) {
    put_row(op, row, batch);
  }
  op.result.rows = op.rows.size();
}

void Stage::make_ready() {
  core_.index.reserve(inserts_);
}

void Stage::publish(std::uint64_t sequence) {
  const std::unique_lock lock(core_.publication_mutex);
  core_.version.fetch_add(1, std::memory_order_acq_rel);
  core_.counters = counters_;
  core_.publish(editor_.finish(sequence));
  core_.graphs.rows_came(written_);
  for (const Change& change : changes_) {
    if (change.old_slot.has_value() && change.new_slot.has_value()) {
      core_.index.move(change.hash, *change.old_slot, *change.new_slot);
    } else if (change.old_slot.has_value()) {
      core_.index.erase(change.hash, *change.old_slot);
    } else if (change.new_slot.has_value()) {
      core_.index.insert(change.id.is_number(), change.hash, *change.new_slot);
    }
  }
  core_.version.fetch_add(1, std::memory_order_acq_rel);
  core_.slots.store(counters_.next_slot, std::memory_order_release);
  core_.tallies.writes.fetch_add(written_, std::memory_order_relaxed);
  core_.tallies.erases.fetch_add(erased_, std::memory_order_relaxed);
}

}  // namespace vecserve::engine
