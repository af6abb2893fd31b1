// What a store must hold, kept in plain maps beside it: tests write through it and compare with
// what a store hands out. One thread, but read_state may be called back by several.
// Always holds: acked() is exactly the outcome of the batches whose apply() returned ok.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/store/open_store.h"
#include "engine/store/store.h"

namespace vecserve::engine {

struct ModelRow {
  RowId id;
  std::uint64_t expires_at_ms = 0;
  std::string payload;
  std::string vector;
  friend bool operator==(const ModelRow&, const ModelRow&) = default;
};

struct ModelCollection {
  std::string name;
  CollectionOptions options;
  CollectionCounters counters;
  std::map<std::uint64_t, ModelRow> rows;  // by slot
  friend bool operator==(const ModelCollection&, const ModelCollection&) = default;
};

struct ModelState {
  std::map<std::uint32_t, ModelCollection> collections;
  std::deque<std::pair<RequestId, RequestOutcome>> requests;  // oldest first
  std::uint64_t sequence = 0;
  friend bool operator==(const ModelState&, const ModelState&) = default;
};

// For messages: what the first difference is; "" when equal.
[[nodiscard]] std::string difference(const ModelState& expected, const ModelState& found);

// load(), gathered. Also checks the promises of LoadSink: parts in range, slots rising.
[[nodiscard]] Result<ModelState> load_state(Store& store, std::uint32_t threads = 1);
// verify(), gathered.
[[nodiscard]] Result<ModelState> verify_state(Store& store, VerifyReport& report);

class StoreModel {
 public:
  StoreModel() = default;
  explicit StoreModel(ModelState state) : acked_(std::move(state)), next_(acked_) { find_slots(); }

  // Changes for the next batch.
  void create(std::uint32_t collection, const std::string& name, std::uint32_t dim = 4);
  void drop(std::uint32_t collection);
  // A row with contents that follow from its id; replaces the row of that id, if there is one.
  void put(std::uint32_t collection, const RowId& id, const std::string& payload = {},
           std::uint64_t expires_at_ms = 0);
  void erase(std::uint32_t collection, const RowId& id);
  void request(const RequestId& id);

  // One batch with all of the changes; they are forgotten when it fails.
  [[nodiscard]] Status apply(Store& store, Durability durability = Durability::sync);

  [[nodiscard]] const ModelState& acked() const { return acked_; }
  // What the last apply() that failed was to lead to.
  [[nodiscard]] const ModelState& attempted() const { return attempted_; }

 private:
  void find_slots();
  void erase_slot_of(std::uint32_t collection, const RowId& id);

  ModelState acked_;
  ModelState next_;
  ModelState attempted_;
  std::map<std::pair<std::uint32_t, RowId>, std::uint64_t> slots_;  // of the rows in next_
  StoreBatch batch_;
  std::deque<std::string> records_;  // what the batch's views point into
};

}  // namespace vecserve::engine
