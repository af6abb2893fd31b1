// The model of a store; see store_model.h. One thread, but for the sink of load_state.
// Always holds: rows and counters of the model are computed by their definition, not by the
// engine's bookkeeping (row_hash excepted, which record_test pins).
#include "tests/support/store/store_model.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "engine/base/limits.h"
#include "engine/store/record.h"

namespace vecserve::engine {
namespace {

IdView view_of(const RowId& id) {
  return id.is_number() ? IdView(id.number()) : IdView(std::string_view(id.bytes()));
}

RowId id_of(const IdView& id) {
  return id.is_number() ? RowId(id.number) : RowId(std::string(id.bytes));
}

std::string vector_for(const RowId& id, std::uint64_t slot, std::size_t bytes) {
  const std::string seed = id.to_string() + "/" + std::to_string(slot);
  std::string vector(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    vector[i] = static_cast<char>(static_cast<unsigned char>(seed[i % seed.size()]) + i * 7);
  }
  return vector;
}

// Fills a ModelState from callbacks.
struct Gatherer {
  std::mutex mutex;
  ModelState state;
  std::map<std::uint32_t, std::uint32_t> parts;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> last_slot;
  std::string broken;

  LoadSink sink() {
    LoadSink sink;
    sink.collection = [this](const StoredCollection& stored, std::uint32_t count) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (count == 0) broken = "a collection in 0 parts";
      parts[stored.id] = count;
      state.collections[stored.id] = {stored.name, stored.options, stored.counters, {}};
      return Status();
    };
    sink.row = [this](std::uint32_t collection, std::uint32_t part, std::uint64_t slot,
                      const StoreRow& row) {
      const std::lock_guard<std::mutex> lock(mutex);
      const auto [last, first] = last_slot.try_emplace({collection, part}, slot);
      if (part >= parts[collection]) broken = "a part beyond the last";
      if (!first && last->second >= slot) broken = "slots of a part do not rise";
      last->second = slot;
      const auto* bytes = reinterpret_cast<const char*>(row.vector.data());
      state.collections[collection].rows[slot] = {id_of(row.id), row.expires_at_ms,
                                                  std::string(row.payload),
                                                  std::string(bytes, row.vector.size())};
      return Status();
    };
    sink.request = [this](const RequestId& id, const RequestOutcome& outcome) {
      state.requests.emplace_back(id, outcome);
      return Status();
    };
    return sink;
  }

  // Every slot of a part is below every slot of the next.
  void check_parts() {
    std::map<std::uint32_t, std::uint64_t> highest;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> ends = last_slot;
    for (const auto& [key, last] : ends) {
      const auto [found, first] = highest.try_emplace(key.first, last);
      if (!first && found->second >= last) broken = "parts overlap";
      found->second = last;
    }
  }
};

}  // namespace

std::string difference(const ModelState& expected, const ModelState& found) {
  if (expected.sequence != found.sequence) {
    return "sequence " + std::to_string(found.sequence) + " instead of " +
           std::to_string(expected.sequence);
  }
  if (expected.requests != found.requests) {
    return std::to_string(found.requests.size()) + " requests, other than the " +
           std::to_string(expected.requests.size()) + " expected";
  }
  for (const auto& [id, collection] : expected.collections) {
    const auto other = found.collections.find(id);
    if (other == found.collections.end()) return "collection " + collection.name + " is missing";
    if (!(other->second == collection)) {
      return "collection " + collection.name + ": " + std::to_string(other->second.rows.size()) +
             " rows, " + std::to_string(collection.rows.size()) + " expected";
    }
  }
  return expected == found ? "" : "a collection too many";
}

Result<ModelState> load_state(Store& store, std::uint32_t threads) {
  Gatherer gatherer;
  auto sequence = store.load(gatherer.sink(), threads);
  if (!sequence.ok()) return sequence.status();
  gatherer.check_parts();
  if (!gatherer.broken.empty()) return Status(StatusCode::internal, gatherer.broken);
  gatherer.state.sequence = *sequence;
  return gatherer.state;
}

Result<ModelState> verify_state(Store& store, VerifyReport& report) {
  Gatherer gatherer;
  auto verified = store.verify(gatherer.sink());
  if (!verified.ok()) return verified.status();
  report = *verified;
  return gatherer.state;
}

void StoreModel::create(std::uint32_t collection, const std::string& name, std::uint32_t dim) {
  StoredCollection stored;
  stored.id = collection;
  stored.name = name;
  stored.options.dim = dim;
  stored.options.fields = {{"year", FieldType::number}, {"genre", FieldType::string}};
  next_.collections[collection] = {name, stored.options, {}, {}};
  batch_.create_collections.push_back(stored);
}

void StoreModel::drop(std::uint32_t collection) {
  next_.collections.erase(collection);
  batch_.drop_collections.push_back(collection);
}

void StoreModel::find_slots() {
  slots_.clear();
  for (const auto& [id, collection] : next_.collections) {
    for (const auto& [slot, row] : collection.rows) slots_[{id, row.id}] = slot;
  }
}

void StoreModel::erase_slot_of(std::uint32_t collection, const RowId& id) {
  const auto found = slots_.find({collection, id});
  if (found == slots_.end()) return;
  const std::uint64_t slot = found->second;
  slots_.erase(found);
  ModelCollection& target = next_.collections.at(collection);
  target.counters.live_rows -= 1;
  target.counters.live_hash -= row_hash(collection, slot, view_of(id));
  batch_.erase_rows.push_back({collection, slot});
  target.rows.erase(slot);
}

void StoreModel::put(std::uint32_t collection, const RowId& id, const std::string& payload,
                     std::uint64_t expires_at_ms) {
  erase_slot_of(collection, id);
  ModelCollection& target = next_.collections.at(collection);
  const std::uint64_t slot = target.counters.next_slot++;
  const ModelRow row{id, expires_at_ms, payload,
                     vector_for(id, slot, vector_bytes(target.options.type, target.options.dim))};
  StoreRow stored;
  stored.id = view_of(row.id);
  stored.expires_at_ms = expires_at_ms;
  stored.payload = row.payload;
  stored.vector = {reinterpret_cast<const std::byte*>(row.vector.data()), row.vector.size()};
  encode_record(stored, records_.emplace_back());
  batch_.put_rows.push_back({collection, slot, records_.back()});
  target.counters.live_rows += 1;
  target.counters.live_hash += row_hash(collection, slot, stored.id);
  target.rows[slot] = row;
  slots_[{collection, id}] = slot;
}

void StoreModel::erase(std::uint32_t collection, const RowId& id) {
  erase_slot_of(collection, id);
}

void StoreModel::request(const RequestId& id) {
  const RequestOutcome outcome{batch_.put_rows.size(), acked_.sequence + 1};
  batch_.requests.push_back({id, outcome});
  next_.requests.emplace_back(id, outcome);
  if (next_.requests.size() > limits::request_ids_max) next_.requests.pop_front();
}

Status StoreModel::apply(Store& store, Durability durability) {
  std::set<std::uint32_t> touched;
  for (const auto& row : batch_.put_rows) touched.insert(row.collection);
  for (const auto& row : batch_.erase_rows) touched.insert(row.collection);
  for (const std::uint32_t id : touched) {
    const auto found = next_.collections.find(id);
    if (found != next_.collections.end()) {
      batch_.counters.push_back({id, found->second.counters});
    }
  }
  next_.sequence = acked_.sequence + 1;
  batch_.sequence = next_.sequence;
  Status status = store.apply(batch_, durability);
  if (status.ok()) {
    acked_ = next_;
  } else {
    attempted_ = next_;
    next_ = acked_;
    find_slots();
  }
  batch_.clear();
  records_.clear();
  return status;
}

}  // namespace vecserve::engine
