// The one way from the engine to a GPU: every call of a Driver goes through here, is checked, and
// can be made to fail by a test. Comes between mirror and scanner, and the driver. Any thread.
// Always holds: once the driver has said that the device is lost, or a wait has failed that was not
// only tried, no call reaches it any more and every answer is unavailable; out of memory is
// resource_exhausted and leaves the device alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "engine/gpu/driver.h"
#include "vecserve/status.h"

namespace vecserve::engine::gpu {

class Device {
 public:
  // What the n-th call (from 0) is to answer instead of being made; ok: it is made. For tests.
  using Inject = std::function<DriverCode(std::uint64_t call)>;

  explicit Device(std::unique_ptr<Driver> driver, Inject inject = {});

  [[nodiscard]] const DriverInfo& info() const { return driver_->info(); }
  [[nodiscard]] bool alive() const { return alive_.load(std::memory_order_acquire); }
  // Why it is not alive; "" while it is.
  [[nodiscard]] std::string failure() const;
  // Never uses it again: it has answered nonsense.
  void condemn(const std::string& why) { give_up(why); }
  [[nodiscard]] std::uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

  // See Driver. What is made must be released; on a device that is lost, that does nothing.
  [[nodiscard]] Result<void*> allocate(std::size_t bytes);
  [[nodiscard]] Result<void*> allocate_pinned(std::size_t bytes);
  [[nodiscard]] Result<Driver::Stream> make_stream(Driver::Priority priority);
  [[nodiscard]] Result<Driver::Event> make_event();
  [[nodiscard]] Result<Driver::Graph> make_graph(const Steps& steps);
  void release(void* address);
  void release_pinned(void* address);
  void end_stream(Driver::Stream stream);
  void end_event(Driver::Event event);
  void end_graph(Driver::Graph graph);
  [[nodiscard]] Status record(Driver::Event event, Driver::Stream stream);
  [[nodiscard]] Status wait(Driver::Event event);
  // The same for what may go wrong: after a failure that leaves the device in use, drain() says
  // whether its buffers may be used again.
  [[nodiscard]] Status try_wait(Driver::Event event);
  // Waits until the stream is empty, so that its buffers may be used again after an error.
  [[nodiscard]] Status drain(Driver::Stream stream);
  [[nodiscard]] Status copy_in(void* device, const void* host, std::size_t bytes,
                               Driver::Stream stream);
  [[nodiscard]] Status copy_out(void* host, const void* device, std::size_t bytes,
                                Driver::Stream stream);
  [[nodiscard]] Status fill(void* device, std::uint8_t byte, std::size_t bytes,
                            Driver::Stream stream);
  [[nodiscard]] Status launch(Kernel kernel, const ScanArguments& arguments, std::uint32_t blocks,
                              Driver::Stream stream);
  [[nodiscard]] Status replay(Driver::Graph graph, const Steps& steps, Driver::Stream stream);
  [[nodiscard]] Status move_rows(const RowMove& move, Driver::Stream stream);

 private:
  // A wait that fails leaves unknown what the device still writes to: then it is given up.
  enum class Kind : std::uint8_t { ordinary, wait };
  template <typename Call>
  [[nodiscard]] Status check(const char* what, Kind kind, const Call& call);
  void give_up(const std::string& why);

  std::unique_ptr<Driver> driver_;
  const Inject inject_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<bool> alive_{true};
  mutable std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
};

}  // namespace vecserve::engine::gpu
