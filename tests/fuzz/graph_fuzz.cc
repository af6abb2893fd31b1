// A copy of a graph from any bytes, all the way from the cache to a graph in use: over a collection
// of a few rows. What is accepted must be a graph as graph.h wants it, over exactly those rows, and
// must bear walking, repairing and linking. An input of even first byte is a list of chunks, which
// get their checksums here, or nothing would ever get past them; of odd first byte, a file.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/graph/entries.h"
#include "engine/graph/repair.h"
#include "engine/graph_cache.h"
#include "engine/payload_rows.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kDim = 3;
constexpr std::uint64_t kSlots = 30;
constexpr std::size_t kChunksMax = 16;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

bool row_lives(std::uint64_t slot) {
  return slot < kSlots && slot % 7 != 5;
}

// Reads what is asked out of memory; everything else is not called.
class BytesStore final : public Store {
 public:
  [[nodiscard]] bool keeps_rows() const override { return true; }
  [[nodiscard]] Result<std::uint64_t> load(const LoadSink&, std::uint32_t) override { return none; }
  [[nodiscard]] Status apply(const StoreBatch&, Durability) override { return none; }
  [[nodiscard]] std::uint32_t next_collection_id() const override { return 1; }
  [[nodiscard]] Status sync() override { return none; }
  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string&) override { return none; }
  [[nodiscard]] Result<VerifyReport> verify(const LoadSink&) override { return none; }
  [[nodiscard]] StoreStats stats() const override { return {}; }
  [[nodiscard]] Status close() override { return {}; }
  [[nodiscard]] Result<std::unique_ptr<CacheReader>> read_cache(std::uint32_t id) override {
    return std::make_unique<CacheReader>(
        [this, at = std::size_t{0}](std::span<char> to) mutable -> Result<std::size_t> {
          const std::size_t count = bytes.copy(to.data(), to.size(), at);
          at += count;
          return count;
        },
        id);
  }

  const Status none{StatusCode::internal, "not here"};
  std::string bytes;
};

struct Fixture {
  Fixture() {
    DatabaseOptions options;
    options.threads = 1;
    runtime = std::make_shared<Runtime>(options, **choose_kernels(""), clock);
    auto made = std::make_unique<BytesStore>();
    store = made.get();
    runtime->store = std::move(made);
    runtime->sequence.store(9);
    CollectionOptions shape;
    shape.dim = kDim;
    core = std::make_shared<CollectionCore>(runtime, 0, "c", shape);
    core->slots.store(kSlots);
    RowSetEditor editor(core->snapshot());
    auto block = make_payload_block(core->shape, core->options.fields);
    editor.add_block(block);
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      const float row[kDim] = {static_cast<float>(slot), static_cast<float>(slot * slot % 7), 1.0f};
      append_payload(*block, "", {});
      editor.append(slot, IdView(slot), reinterpret_cast<const std::byte*>(row), 0);
    }
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      if (!row_lives(slot)) editor.kill(slot);
    }
    core->publish(editor.finish(9));
  }

  SystemClock clock;
  std::shared_ptr<Runtime> runtime;
  BytesStore* store = nullptr;
  std::shared_ptr<CollectionCore> core;
};

Fixture& fixture() {
  static Fixture made;
  return made;
}

// Lengths of two bytes and the chunks behind them, as the file that a writer makes of them.
std::string as_file(std::string_view input) {
  std::string file;
  CacheWriter writer({[&file](std::string_view more) {
                        file += more;
                        return Status();
                      },
                      [] { return Status(); }},
                     0);
  for (std::size_t c = 0; c < kChunksMax && input.size() > 2; ++c) {
    const std::size_t length =
        static_cast<unsigned char>(input[0]) + 256U * static_cast<unsigned char>(input[1]);
    input.remove_prefix(2);
    const std::string_view chunk = input.substr(0, length);
    if (!chunk.empty()) require(writer.append(chunk).ok());
    input.remove_prefix(chunk.size());
  }
  require(writer.finish().ok());
  return file;
}

void check_whole(const Graph& graph, std::uint32_t live) {
  const GraphCheck check = check_graph(graph);
  require(check.live == live && check.orphans == 0 && check.unreachable == 0 &&
          check.bad_links == 0);
}

void use(Graph& graph) {
  check_whole(graph, graph.nodes());
  spread_entries(graph);
  std::uint32_t dead = 0;
  for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
    dead += row_lives(graph.slot(node)) ? 0U : 1U;
  }
  AlignedBuffer codes(graph.axes().record_bytes());
  std::vector<float> scratch(graph.axes().scratch_floats());
  GraphProbe probe;
  const float query[kDim] = {3.0f, -1.0f, 1e9f};
  graph.axes().make_probe(query, scratch.data(), reinterpret_cast<std::int8_t*>(codes.data()),
                          probe);
  Beam beam;
  beam.walk(graph, probe, {5, UINT32_MAX});
  require(!beam.found().empty());
  const std::uint32_t live = graph.live();
  Repair repair(graph);
  repair.begin(row_lives, true);
  while (repair.busy()) repair.step(3);
  check_whole(graph, live - dead);
  Linker linker(graph);
  for (std::uint64_t slot = kSlots; slot < kSlots + 3; ++slot) require(linker.link(slot, query));
  check_whole(graph, live - dead + 3);
}

// Whether a graph came of it.
bool restore(std::string file) {
  Fixture& all = fixture();
  all.store->bytes = std::move(file);
  const auto begun = GraphRestore::begin(*all.core);
  if (!begun.ok()) return false;
  for (;;) {
    const Result<bool> more = (*begun)->step(*all.core, 1);
    if (!more.ok()) return false;
    if (!*more) break;
  }
  Graph& graph = *(*begun)->graph();
  const std::uint64_t watermark = graph.watermark.load();
  std::vector<std::uint32_t> nodes(kSlots, 0);
  for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
    require(graph.slot(node) < watermark);
    if (graph.slot(node) < kSlots) ++nodes[graph.slot(node)];
  }
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    if (row_lives(slot)) require(nodes[slot] == (slot < watermark ? 1U : 0U));
  }
  use(graph);
  return true;
}

}  // namespace
}  // namespace vecserve::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vecserve::engine;
  if (size == 0) return 0;
#if defined(__SANITIZE_THREAD__)
  // There is one thread: nothing to be found for a hundred times the price.
  static std::uint32_t inputs = 0;
  if (++inputs % 16 != 1) return 0;
#endif
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  static_cast<void>(restore(data[0] % 2 == 0 ? as_file(input) : std::string(input)));
  return 0;
}
