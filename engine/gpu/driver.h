// The few things that the engine asks of a GPU and its driver. Two of them exist: CUDA's
// (cuda_driver.cu) and the emulated one of the tests. Called by Device only, which checks every
// answer. Any thread. Always holds: nothing throws, waits are blocked waits and not busy ones, and
// `text` of a failure says what the driver said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/gpu/moved_rows.h"
#include "engine/gpu/scan_types.h"
#include "engine/gpu/steps.h"

namespace vecserve::engine::gpu {

enum class DriverCode : std::uint8_t {
  ok = 0,
  out_of_memory = 1,  // nothing happened
  failed = 2,         // this call did nothing; others may work
  lost = 3,           // the device will never answer again (an illegal access, a reset, ...)
};

struct DriverInfo {
  std::string name;              // "sm_90"
  std::string device;            // as the maker calls it
  std::size_t memory_bytes = 0;  // free when it was opened
  std::uint32_t processors = 1;  // streaming multiprocessors
  bool warpgroups = false;       // has Kernel::scan_warpgroups, right or wrong
};

class Driver {
 public:
  using Stream = void*;
  using Event = void*;
  using Graph = void*;
  enum class Priority : std::uint8_t { search, insert };

  virtual ~Driver() = default;
  [[nodiscard]] virtual const DriverInfo& info() const = 0;
  // Of the last call of this thread that was not ok.
  [[nodiscard]] virtual std::string text() const = 0;

  [[nodiscard]] virtual DriverCode allocate(std::size_t bytes, void** address) = 0;
  [[nodiscard]] virtual DriverCode release(void* address) = 0;
  [[nodiscard]] virtual DriverCode allocate_pinned(std::size_t bytes, void** address) = 0;
  [[nodiscard]] virtual DriverCode release_pinned(void* address) = 0;
  [[nodiscard]] virtual DriverCode make_stream(Priority priority, Stream* stream) = 0;
  [[nodiscard]] virtual DriverCode end_stream(Stream stream) = 0;
  [[nodiscard]] virtual DriverCode make_event(Event* event) = 0;
  [[nodiscard]] virtual DriverCode end_event(Event event) = 0;
  // After all that is in the stream.
  [[nodiscard]] virtual DriverCode record(Event event, Stream stream) = 0;
  // Until what was recorded last is done; at once when nothing was.
  [[nodiscard]] virtual DriverCode wait(Event event) = 0;
  [[nodiscard]] virtual DriverCode wait_stream(Stream stream) = 0;

  // In the stream's order. Host memory must be pinned and stay until the stream has come past.
  [[nodiscard]] virtual DriverCode copy_in(void* device, const void* host, std::size_t bytes,
                                           Stream stream) = 0;
  [[nodiscard]] virtual DriverCode copy_out(void* host, const void* device, std::size_t bytes,
                                            Stream stream) = 0;
  [[nodiscard]] virtual DriverCode fill(void* device, std::uint8_t byte, std::size_t bytes,
                                        Stream stream) = 0;
  [[nodiscard]] virtual DriverCode launch(Kernel kernel, const ScanArguments& arguments,
                                          std::uint32_t blocks, Stream stream) = 0;
  // A graph of steps of that form; their addresses are such as will be used, and nothing is done
  // yet.
  [[nodiscard]] virtual DriverCode make_graph(const Steps& steps, Graph* graph) = 0;
  [[nodiscard]] virtual DriverCode end_graph(Graph graph) = 0;
  // Steps of the graph's form, with these parameters; of a call that fails none was done. One call
  // at a time for a graph, and always in the same stream.
  [[nodiscard]] virtual DriverCode replay(Graph graph, const Steps& steps, Stream stream) = 0;
  // move.from, what it names and the new place must stay until the stream has come past.
  [[nodiscard]] virtual DriverCode move_rows(const RowMove& move, Stream stream) = 0;
};

// The first usable device of this machine, or why there is none.
struct OpenedDriver {
  std::unique_ptr<Driver> driver;
  std::string why_not;
};
[[nodiscard]] OpenedDriver open_cuda_driver();

}  // namespace vecserve::engine::gpu
