// See engine_fixture.h.
// Test thread. Always holds: helpers that cannot fail in a sound engine check that they did not.
// Comes between a unit test and the parts of the engine that it holds.
#include "tests/support/store/engine_fixture.h"

#include <catch2/catch.hpp>
#include <sstream>
#include <utility>

#include "engine/payload_rows.h"
#include "engine/prepare_write.h"
#include "engine/read.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/write.h"

namespace vecserve::test {

using namespace engine;

OwnedRow::OwnedRow(RowId id_in, std::vector<float> vector_in, std::optional<std::string> payload_in,
                   std::optional<std::uint64_t> ttl_ms_in)
    : id(std::move(id_in)),
      vector(std::move(vector_in)),
      payload(std::move(payload_in)),
      ttl_ms(ttl_ms_in) {}

RowInput OwnedRow::input() const {
  RowInput row;
  row.id = id;
  row.vector = VectorView(vector);
  if (payload.has_value()) {
    row.payload = std::string_view(*payload);
  }
  row.ttl_ms = ttl_ms;
  return row;
}

std::vector<RowInput> inputs_of(const std::vector<OwnedRow>& rows) {
  std::vector<RowInput> inputs;
  for (const OwnedRow& row : rows) {
    inputs.push_back(row.input());
  }
  return inputs;
}

CollectionOptions Engine::plane() {
  CollectionOptions options;
  options.dim = 2;
  options.fields = {{"n", FieldType::number}, {"s", FieldType::string}};
  return options;
}

DatabaseOptions Engine::quiet() {
  DatabaseOptions options;
  options.threads = 1;
  options.expire_every_ms = 0;
  options.rewrite_below_live_share = 0.0;  // no background thread
  return options;
}

Engine::Engine(const DatabaseOptions& options, std::uint32_t parts,
               std::shared_ptr<gpu::Gpu> device, bool graphs_by_hand)
    : options_(options), device_(std::move(device)), graphs_by_hand_(graphs_by_hand) {
  REQUIRE(reopen(parts).ok());
}

Engine::~Engine() {
  static_cast<void>(database->close());
}

Status Engine::reopen(std::uint32_t parts) {
  if (database != nullptr) {
    VECSERVE_TRY(database->close());
  }
  auto next =
      std::make_shared<Runtime>(options_, **choose_kernels(""), clock, OpenedGpu{device_, {}});
  next->graphs_by_hand = graphs_by_hand_;
  auto fake = std::make_unique<FakeStore>(contents, parts);
  FakeStore* const opened = fake.get();
  next->store = std::move(fake);
  Loader loader(next);
  const auto sequence = next->store->load(loader.sink(), 1);
  VECSERVE_TRY(sequence.status());
  auto catalog = loader.finish(*sequence);
  VECSERVE_TRY(catalog.status());
  store = opened;
  runtime = next;
  database = std::make_shared<DatabaseCore>("", next, std::move(*catalog));
  return {};
}

std::shared_ptr<CollectionCore> Engine::create(std::string_view name,
                                               const CollectionOptions& options) {
  auto made = database->create(name, options);
  REQUIRE(made.ok());
  return *made;
}

std::shared_ptr<CollectionCore> Engine::find(std::string_view name) const {
  auto found = database->find(name);
  REQUIRE(found.ok());
  return *found;
}

Result<WriteResult> upsert(const CorePtr& core, const std::vector<OwnedRow>& rows,
                           const WriteOptions& options) {
  return write_rows(core, WriteOp::Kind::upsert, inputs_of(rows), options);
}

Result<WriteResult> insert(const CorePtr& core, const std::vector<OwnedRow>& rows,
                           const WriteOptions& options) {
  return write_rows(core, WriteOp::Kind::insert, inputs_of(rows), options);
}

Result<WriteResult> update(const CorePtr& core, const std::vector<OwnedRow>& rows,
                           const WriteOptions& options) {
  return write_rows(core, WriteOp::Kind::update, inputs_of(rows), options);
}

Result<WriteResult> erase(const CorePtr& core, const std::vector<RowId>& ids,
                          const WriteOptions& options) {
  return erase_rows(core, ids, options);
}

void fill(const CorePtr& core, std::uint64_t first, std::uint64_t count) {
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = first; id < first + count; ++id) {
    rows.emplace_back(id, std::vector<float>{static_cast<float>(id), 0.0f});
  }
  REQUIRE(upsert(core, rows).ok());
}

std::optional<Row> fetch(const CorePtr& core, const RowId& id) {
  const GetOptions all;
  auto rows = read_rows(*core, std::span(&id, 1), &all);
  REQUIRE(rows.ok());
  return rows->front();
}

std::optional<std::uint64_t> slot_of(const CorePtr& core, const RowId& id) {
  const IdView view(id);
  const auto rows = core->snapshot();
  return core->index.find(view, hash_id(view), [&](std::uint64_t slot) {
    const auto at = rows->find(slot);
    return at.has_value() && rows->view(at->block).block->id(at->position) == view;
  });
}

std::unique_ptr<WriteOp> make_op(const CorePtr& core, WriteOp::Kind kind,
                                 const std::vector<OwnedRow>& rows, RequestId request) {
  auto op = std::make_unique<WriteOp>();
  op->kind = kind;
  op->core = core;
  op->options.request_id = request;
  op->now_ms = core->runtime->clock.unix_ms();
  // Ids of byte strings are viewed, not copied: those of `rows` outlive the inputs.
  std::vector<RowInput> inputs = inputs_of(rows);
  REQUIRE(prepare_rows(inputs, *op).ok());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    op->rows[i].id = IdView(rows[i].id);
  }
  return op;
}

std::unique_ptr<WriteOp> make_erase(const CorePtr& core, const std::vector<RowId>& ids) {
  auto op = std::make_unique<WriteOp>();
  op->kind = WriteOp::Kind::erase;
  op->core = core;
  op->now_ms = core->runtime->clock.unix_ms();
  REQUIRE(prepare_erases(ids, *op).ok());
  return op;
}

std::string picture(const CorePtr& core) {
  std::ostringstream text;
  const auto rows = core->snapshot();
  text << "live " << rows->live_count() << " rows " << rows->row_count() << " sequence "
       << rows->sequence() << '/' << core->runtime->sequence.load() << " requests "
       << core->runtime->requests.size() << " counters " << core->counters.next_slot << ' '
       << core->counters.live_rows << ' ' << core->counters.live_hash << '\n';
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    const BlockView& view = rows->view(b);
    const RowBlock& block = *view.block;
    text << "block of " << block.size() << ", published " << view.count << ", alive "
         << view.live->live << '\n';
    for (std::uint32_t p = 0; p < view.count; ++p) {
      if (!view.live->test(p)) {
        continue;
      }
      const RowId id = block.id(p).to_id();
      const VectorView vector(core->shape.type, block.vector(p), core->shape.dim);
      const auto indexed = slot_of(core, id);
      text << block.slot(p) << ' ' << id.to_string() << " at "
           << (indexed.has_value() ? std::to_string(*indexed) : "nowhere") << " until "
           << block.expires_at_ms(p) << ' ' << payload_text(block, p);
      const auto* bytes = static_cast<const unsigned char*>(vector.data);
      for (std::uint32_t i = 0; i < core->shape.row_bytes; ++i) {
        text << ' ' << int{bytes[i]};
      }
      text << '\n';
    }
  }
  return text.str();
}

}  // namespace vecserve::test
