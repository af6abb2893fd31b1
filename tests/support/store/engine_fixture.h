// An engine in pieces: runtime, catalog and collections over a FakeStore and a clock that stands
// still, without background work, so that a unit test can hold every part in its hands. Test
// thread, except where a test makes writers of its own. Always holds: picture() names everything
// that a failed write must leave alone, so that two equal pictures prove it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/collection_core.h"
#include "engine/database_core.h"
#include "engine/write_op.h"
#include "tests/support/store/fake_store.h"

namespace vecserve::test {

// A RowInput with the memory that it needs.
struct OwnedRow {
  RowId id;
  std::vector<float> vector;
  std::optional<std::string> payload;
  std::optional<std::uint64_t> ttl_ms;

  OwnedRow(RowId id_in, std::vector<float> vector_in,
           std::optional<std::string> payload_in = std::nullopt,
           std::optional<std::uint64_t> ttl_ms_in = std::nullopt);
  [[nodiscard]] RowInput input() const;
};

[[nodiscard]] std::vector<RowInput> inputs_of(const std::vector<OwnedRow>& rows);

class Engine {
 public:
  // l2 over f32 of two dimensions with the fields "n" (number) and "s" (string).
  [[nodiscard]] static CollectionOptions plane();
  [[nodiscard]] static DatabaseOptions quiet();  // one thread, nothing in the background

  // `device`: a GPU to use, with its keeper in the background. `graphs_by_hand`: nobody but the
  // test looks after graphs.
  explicit Engine(const DatabaseOptions& options = quiet(), std::uint32_t parts = 1,
                  std::shared_ptr<engine::gpu::Gpu> device = nullptr, bool graphs_by_hand = false);
  ~Engine();

  // Opens again what the store holds; handles of before stay behind with the old runtime.
  [[nodiscard]] Status reopen(std::uint32_t parts = 1);
  std::shared_ptr<engine::CollectionCore> create(std::string_view name,
                                                 const CollectionOptions& options = plane());
  [[nodiscard]] std::shared_ptr<engine::CollectionCore> find(std::string_view name) const;

  engine::ManualClock clock;
  std::shared_ptr<FakeContents> contents = std::make_shared<FakeContents>();
  FakeStore* store = nullptr;  // the runtime's
  std::shared_ptr<engine::Runtime> runtime;
  std::shared_ptr<engine::DatabaseCore> database;

 private:
  DatabaseOptions options_;
  std::shared_ptr<engine::gpu::Gpu> device_;
  bool graphs_by_hand_;
};

using CorePtr = std::shared_ptr<engine::CollectionCore>;

[[nodiscard]] Result<WriteResult> upsert(const CorePtr& core, const std::vector<OwnedRow>& rows,
                                         const WriteOptions& options = {});
[[nodiscard]] Result<WriteResult> insert(const CorePtr& core, const std::vector<OwnedRow>& rows,
                                         const WriteOptions& options = {});
[[nodiscard]] Result<WriteResult> update(const CorePtr& core, const std::vector<OwnedRow>& rows,
                                         const WriteOptions& options = {});
[[nodiscard]] Result<WriteResult> erase(const CorePtr& core, const std::vector<RowId>& ids,
                                        const WriteOptions& options = {});
// Rows first, first + 1, ... with the vector (id, 0), in one write.
void fill(const CorePtr& core, std::uint64_t first, std::uint64_t count);

[[nodiscard]] std::optional<Row> fetch(const CorePtr& core, const RowId& id);
// The slot that the index names for the id.
[[nodiscard]] std::optional<std::uint64_t> slot_of(const CorePtr& core, const RowId& id);

// A prepared write as commit_group takes it; `rows` must outlive it.
[[nodiscard]] std::unique_ptr<engine::WriteOp> make_op(const CorePtr& core,
                                                       engine::WriteOp::Kind kind,
                                                       const std::vector<OwnedRow>& rows,
                                                       RequestId request = {});
[[nodiscard]] std::unique_ptr<engine::WriteOp> make_erase(const CorePtr& core,
                                                          const std::vector<RowId>& ids);

// Row set, blocks, index, counters, sequence and remembered requests, as text.
[[nodiscard]] std::string picture(const CorePtr& core);

}  // namespace vecserve::test
