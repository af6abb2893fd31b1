// See emulated_driver.h. Work of a stream runs on the thread that waits, in order. Any thread.
// Always holds: a stream's work is run under its lock; memory that was never released ends with the
// driver.
#include "tests/support/simt/emulated_driver.h"

#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "tests/support/simt/host_gather.h"
#include "tests/support/simt/machine.h"
#include "tests/support/simt/shadow.h"
#include "tests/support/simt/simt.h"
#include "tests/support/simt/warpgroup.h"

// After the names that they are written against.
#include "engine/gpu/bit_scan.cuh"
#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/finish.cuh"
#include "engine/gpu/group_scan.cuh"
#include "engine/gpu/sharpen.cuh"
#include "engine/gpu/sift_scan.cuh"
#include "engine/gpu/warpgroup_scan.cuh"

namespace vecserve::test::simt {

namespace {

using engine::gpu::Driver;
using engine::gpu::DriverCode;
using engine::gpu::DriverInfo;
using engine::gpu::Kernel;
using engine::gpu::ScanArguments;

thread_local std::string last_text;

struct Queue {
  Driver::Priority priority = Driver::Priority::search;
  std::mutex mutex;
  std::deque<std::function<std::string()>> work;  // guarded by mutex
  std::uint64_t queued = 0;                       // ever; guarded by mutex
  std::uint64_t done = 0;                         // guarded by mutex
};

struct Mark {
  Queue* queue = nullptr;
  std::uint64_t until = 0;
};

std::function<void()> body_of(Kernel kernel, const ScanArguments& a) {
  switch (kernel) {
    case Kernel::scan_one:
      return [a] { engine::gpu::few_scan<1>(a); };
    case Kernel::scan_few:
      return [a] { engine::gpu::few_scan<engine::gpu::kFewQueries>(a); };
    case Kernel::sift_one:
      return [a] { engine::gpu::sift_scan<1>(a); };
    case Kernel::sift_few:
      return [a] { engine::gpu::sift_scan<engine::gpu::kFewQueries>(a); };
    case Kernel::scan_groups:
      return [a] { engine::gpu::group_scan(a); };
    case Kernel::scan_warpgroups:
      return [a] { engine::gpu::warpgroup_scan(a); };
    case Kernel::scan_bits:
      return [a] { engine::gpu::bit_scan(a); };
    case Kernel::refine:
      return [a] { engine::gpu::refine(a); };
    case Kernel::sharpen:
      return [a] { engine::gpu::sharpen(a); };
    case Kernel::pack:
      return [a] { engine::gpu::pack(a); };
  }
  return {};
}

// "" or which address of a move is not what it should be.
std::string touch_rows(const engine::gpu::RowMove& move) {
  const std::size_t bytes = move.chunks * sizeof(engine::gpu::RowChunk);
  std::string wrong =
      DeviceMemory::touch(Access::read, move.from, move.count * sizeof(engine::gpu::MovedRow));
  for (std::uint32_t r = 0; r < move.count && wrong.empty(); ++r) {
    const engine::gpu::MovedRow& from = move.from[r];
    wrong = DeviceMemory::touch(Access::read, from.codes, bytes);
    if (!wrong.empty() || move.rows == nullptr) continue;
    wrong = DeviceMemory::touch(Access::read, from.row, sizeof(engine::gpu::DeviceRow));
  }
  if (wrong.empty()) wrong = DeviceMemory::touch(Access::write, move.codes, move.count * bytes);
  if (!wrong.empty() || move.rows == nullptr) return wrong;
  return DeviceMemory::touch(Access::write, move.rows, move.count * sizeof(engine::gpu::DeviceRow));
}

class EmulatedDriver final : public Driver {
  using Fault = EmulatedOptions::Fault;

 public:
  explicit EmulatedDriver(const EmulatedOptions& options)
      : memory_(options.memory_bytes),
        seed_(options.seed),
        astray_(options.astray),
        fault_(options.fault),
        ledger_(options.ledger != nullptr ? *options.ledger : own_ledger_) {
    info_.name = "emulated";
    info_.device = "emulated GPU";
    info_.memory_bytes = options.memory_bytes;
    info_.processors = 2;
    info_.warpgroups = options.warpgroups;
  }

  [[nodiscard]] const DriverInfo& info() const override { return info_; }
  [[nodiscard]] std::string text() const override { return last_text; }

  DriverCode allocate(std::size_t bytes, void** address) override {
    *address = memory_.allocate(bytes);
    if (*address == nullptr) return say(DriverCode::out_of_memory, "no memory");
    ++ledger_.device;
    ledger_.device_bytes += bytes;
    return DriverCode::ok;
  }
  DriverCode release(void* address) override {
    if (!memory_.release(address)) return say(DriverCode::failed, "not allocated");
    --ledger_.device;
    return DriverCode::ok;
  }
  DriverCode allocate_pinned(std::size_t bytes, void** address) override {
    auto memory = std::make_unique<std::byte[]>(bytes + 256);
    std::memset(memory.get(), 0xcd, bytes + 256);
    const auto at = reinterpret_cast<std::uintptr_t>(memory.get());
    *address = memory.get() + (256 - at % 256) % 256;
    const std::lock_guard lock(mutex_);
    pinned_[*address] = std::move(memory);
    ++ledger_.pinned;
    ledger_.pinned_bytes += bytes;
    return DriverCode::ok;
  }
  DriverCode release_pinned(void* address) override {
    const std::lock_guard lock(mutex_);
    if (pinned_.erase(address) == 0) return say(DriverCode::failed, "not allocated");
    --ledger_.pinned;
    return DriverCode::ok;
  }
  DriverCode make_stream(Priority priority, Stream* stream) override {
    const std::lock_guard lock(mutex_);
    queues_.push_back(std::make_unique<Queue>());
    queues_.back()->priority = priority;
    ++streams_of(priority);
    *stream = queues_.back().get();
    return DriverCode::ok;
  }
  DriverCode end_stream(Stream stream) override {
    --streams_of(static_cast<Queue*>(stream)->priority);
    return wait_stream(stream);
  }
  DriverCode make_event(Event* event) override {
    const std::lock_guard lock(mutex_);
    marks_.push_back(std::make_unique<Mark>());
    *event = marks_.back().get();
    ++ledger_.events;
    return DriverCode::ok;
  }
  DriverCode end_event(Event) override {
    --ledger_.events;
    return DriverCode::ok;
  }

  DriverCode record(Event event, Stream stream) override {
    auto& queue = *static_cast<Queue*>(stream);
    const std::lock_guard lock(queue.mutex);
    *static_cast<Mark*>(event) = {&queue, queue.queued};
    return DriverCode::ok;
  }
  DriverCode wait(Event event) override {
    const Mark mark = *static_cast<Mark*>(event);
    return mark.queue == nullptr ? DriverCode::ok : run_until(*mark.queue, mark.until);
  }
  DriverCode wait_stream(Stream stream) override {
    return run_until(*static_cast<Queue*>(stream), UINT64_MAX);
  }

  DriverCode copy_in(void* device, const void* host, std::size_t bytes, Stream stream) override {
    return queue(stream, [=] {
      std::string wrong = DeviceMemory::touch(Access::write, device, bytes);
      if (wrong.empty()) std::memcpy(device, host, bytes);
      return wrong;
    });
  }
  DriverCode copy_out(void* host, const void* device, std::size_t bytes, Stream stream) override {
    return queue(stream, [=] {
      // A whole stretch may travel of which only a part was written and is looked at.
      std::string wrong = DeviceMemory::locate(device, bytes);
      if (wrong.empty()) std::memcpy(host, device, bytes);
      return wrong;
    });
  }
  DriverCode fill(void* device, std::uint8_t byte, std::size_t bytes, Stream stream) override {
    return queue(stream, [=] {
      std::string wrong = DeviceMemory::touch(Access::write, device, bytes);
      if (wrong.empty()) std::memset(device, byte, bytes);
      return wrong;
    });
  }
  DriverCode launch(Kernel kernel, const ScanArguments& arguments, std::uint32_t blocks,
                    Stream stream) override {
    const std::size_t shared_bytes = engine::gpu::shared_bytes(kernel, arguments);
    Launch shape{blocks, engine::gpu::threads_of(kernel), shared_bytes, seed_.fetch_add(1)};
    if (shared_bytes > engine::gpu::kWarpgroupSharedMax) {
      return say(DriverCode::failed, "more shared memory than a block can have");
    }
    ScanArguments seen = arguments;
    const Fault fault =
        kernel == Kernel::scan_warpgroups && fault_ != nullptr ? fault_->load() : Fault::none;
    if ((astray_ != nullptr && astray_->load()) || fault == Fault::illegal) {
      seen.queries = reinterpret_cast<const engine::gpu::DeviceQuery*>(kNowhere);
    }
    if (fault == Fault::wrong_product) seen.codes += 16;
    shape.lose_copies = fault == Fault::late_copy;
    return queue(stream, [=] { return run(shape, body_of(kernel, seen)); });
  }
  DriverCode make_graph(const engine::gpu::Steps& steps, Graph* graph) override {
    for (const engine::gpu::Step& step : steps.all()) {
      const std::string wrong = wrong_with(step);
      if (!wrong.empty()) return say(DriverCode::failed, wrong);
    }
    const std::lock_guard lock(mutex_);
    graphs_.push_back(std::make_unique<std::uint64_t>(steps.form()));
    *graph = graphs_.back().get();
    ++ledger_.graphs;
    return DriverCode::ok;
  }
  DriverCode end_graph(Graph graph) override {
    const std::lock_guard lock(mutex_);
    const auto ended =
        std::erase_if(graphs_, [&](const auto& made) { return made.get() == graph; });
    if (ended == 0) return say(DriverCode::failed, "no such graph");
    --ledger_.graphs;
    return DriverCode::ok;
  }
  DriverCode replay(Graph graph, const engine::gpu::Steps& steps, Stream stream) override {
    if (*static_cast<const std::uint64_t*>(graph) != steps.form()) {
      return say(DriverCode::failed, "the graph is of another form");
    }
    for (const engine::gpu::Step& step : steps.all()) {
      const DriverCode code = replay_step(step, stream);
      if (code != DriverCode::ok) return code;
    }
    return DriverCode::ok;
  }
  DriverCode move_rows(const engine::gpu::RowMove& move, Stream stream) override {
    return queue(stream, [=] {
      std::string wrong = touch_rows(move);
      if (wrong.empty()) gather_on_host(move);
      return wrong;
    });
  }

 private:
  std::atomic<int>& streams_of(Priority priority) {
    return priority == Priority::search ? ledger_.search_streams : ledger_.insert_streams;
  }
  // "" or why no graph can be made of it: CUDA looks at addresses and extents when a node is added.
  [[nodiscard]] static std::string wrong_with(const engine::gpu::Step& step) {
    using Kind = engine::gpu::Step::Kind;
    if (step.kind == Kind::launch) {
      const bool runs =
          step.blocks != 0 && engine::gpu::shared_bytes(step.kernel, step.arguments) <=
                                  engine::gpu::kWarpgroupSharedMax;
      return runs ? "" : "a node that cannot be launched";
    }
    if (step.bytes == 0) return "a node that does nothing";
    const void* const on_device = step.kind == Kind::fill ? step.to : step.from;
    return DeviceMemory::locate(on_device, step.bytes);
  }
  static DriverCode say(DriverCode code, const std::string& what) {
    last_text = what;
    return code;
  }
  DriverCode replay_step(const engine::gpu::Step& step, Stream stream) {
    switch (step.kind) {
      case engine::gpu::Step::Kind::fill:
        return fill(step.to, step.byte, step.bytes, stream);
      case engine::gpu::Step::Kind::launch:
        return launch(step.kernel, step.arguments, step.blocks, stream);
      case engine::gpu::Step::Kind::copy_out:
        break;
    }
    return copy_out(step.to, step.from, step.bytes, stream);
  }
  static DriverCode queue(Stream stream, std::function<std::string()> work) {
    auto& queue = *static_cast<Queue*>(stream);
    const std::lock_guard lock(queue.mutex);
    queue.work.push_back(std::move(work));
    ++queue.queued;
    return DriverCode::ok;
  }
  static DriverCode run_until(Queue& queue, std::uint64_t until) {
    const std::lock_guard lock(queue.mutex);
    while (queue.done < until && !queue.work.empty()) {
      const std::function<std::string()> work = std::move(queue.work.front());
      queue.work.pop_front();
      ++queue.done;
      const std::string wrong = work();
      if (!wrong.empty()) return say(DriverCode::lost, wrong);
    }
    return DriverCode::ok;
  }

  DriverInfo info_;
  DeviceMemory memory_;
  std::atomic<std::uint64_t> seed_;
  const std::atomic<bool>* const astray_;
  const std::atomic<Fault>* const fault_;
  DriverLedger own_ledger_;
  DriverLedger& ledger_;
  std::mutex mutex_;
  std::map<void*, std::unique_ptr<std::byte[]>> pinned_;  // guarded by mutex_
  std::vector<std::unique_ptr<Queue>> queues_;            // guarded by mutex_
  std::vector<std::unique_ptr<Mark>> marks_;              // guarded by mutex_
  std::vector<std::unique_ptr<std::uint64_t>> graphs_;    // their forms; guarded by mutex_
};

}  // namespace

std::unique_ptr<engine::gpu::Driver> make_emulated_driver(const EmulatedOptions& options) {
  return std::make_unique<EmulatedDriver>(options);
}

}  // namespace vecserve::test::simt
