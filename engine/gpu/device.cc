// See device.h.
// Any thread. Always holds: the first reason for giving up is the one that is reported; releasing
// never fails towards the caller, for there is nothing that a caller could do about it.
#include "engine/gpu/device.h"

#include <utility>

namespace vecserve::engine::gpu {

Device::Device(std::unique_ptr<Driver> driver, Inject inject)
    : driver_(std::move(driver)), inject_(std::move(inject)) {}

std::string Device::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Device::give_up(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = why;
  alive_.store(false, std::memory_order_release);
}

template <typename Call>
Status Device::check(const char* what, Kind kind, const Call& call) {
  if (!alive()) return {StatusCode::unavailable, "the GPU is out of use: " + failure()};
  const std::uint64_t number = calls_.fetch_add(1, std::memory_order_relaxed);
  DriverCode code = inject_ ? inject_(number) : DriverCode::ok;
  const bool injected = code != DriverCode::ok;
  if (!injected) code = call();
  if (code == DriverCode::ok) return {};
  const std::string why = std::string(what) + ": " + (injected ? "injected" : driver_->text());
  if (code == DriverCode::out_of_memory) return {StatusCode::resource_exhausted, "GPU, " + why};
  if (code == DriverCode::lost || kind == Kind::wait) give_up(why);
  return {StatusCode::unavailable, "GPU, " + why};
}

Result<void*> Device::allocate(std::size_t bytes) {
  void* address = nullptr;
  VECSERVE_TRY(
      check("allocate", Kind::ordinary, [&] { return driver_->allocate(bytes, &address); }));
  return address;
}

Result<void*> Device::allocate_pinned(std::size_t bytes) {
  void* address = nullptr;
  VECSERVE_TRY(check("allocate pinned", Kind::ordinary,
                     [&] { return driver_->allocate_pinned(bytes, &address); }));
  return address;
}

Result<Driver::Stream> Device::make_stream(Driver::Priority priority) {
  Driver::Stream stream = nullptr;
  VECSERVE_TRY(check("make stream", Kind::ordinary,
                     [&] { return driver_->make_stream(priority, &stream); }));
  return stream;
}

Result<Driver::Event> Device::make_event() {
  Driver::Event event = nullptr;
  VECSERVE_TRY(check("make event", Kind::ordinary, [&] { return driver_->make_event(&event); }));
  return event;
}

Result<Driver::Graph> Device::make_graph(const Steps& steps) {
  Driver::Graph graph = nullptr;
  VECSERVE_TRY(
      check("make graph", Kind::ordinary, [&] { return driver_->make_graph(steps, &graph); }));
  return graph;
}

void Device::release(void* address) {
  if (address == nullptr) return;
  static_cast<void>(check("release", Kind::ordinary, [&] { return driver_->release(address); }));
}

void Device::release_pinned(void* address) {
  if (address == nullptr) return;
  static_cast<void>(
      check("release pinned", Kind::ordinary, [&] { return driver_->release_pinned(address); }));
}

void Device::end_stream(Driver::Stream stream) {
  if (stream == nullptr) return;
  static_cast<void>(
      check("end stream", Kind::ordinary, [&] { return driver_->end_stream(stream); }));
}

void Device::end_event(Driver::Event event) {
  if (event == nullptr) return;
  static_cast<void>(check("end event", Kind::ordinary, [&] { return driver_->end_event(event); }));
}

void Device::end_graph(Driver::Graph graph) {
  if (graph == nullptr) return;
  static_cast<void>(check("end graph", Kind::ordinary, [&] { return driver_->end_graph(graph); }));
}

Status Device::record(Driver::Event event, Driver::Stream stream) {
  return check("record", Kind::ordinary, [&] { return driver_->record(event, stream); });
}

Status Device::wait(Driver::Event event) {
  return check("wait", Kind::wait, [&] { return driver_->wait(event); });
}

Status Device::try_wait(Driver::Event event) {
  return check("wait", Kind::ordinary, [&] { return driver_->wait(event); });
}

Status Device::drain(Driver::Stream stream) {
  return check("drain", Kind::wait, [&] { return driver_->wait_stream(stream); });
}

Status Device::copy_in(void* device, const void* host, std::size_t bytes, Driver::Stream stream) {
  return check("copy in", Kind::ordinary,
               [&] { return driver_->copy_in(device, host, bytes, stream); });
}

Status Device::copy_out(void* host, const void* device, std::size_t bytes, Driver::Stream stream) {
  return check("copy out", Kind::ordinary,
               [&] { return driver_->copy_out(host, device, bytes, stream); });
}

Status Device::fill(void* device, std::uint8_t byte, std::size_t bytes, Driver::Stream stream) {
  return check("fill", Kind::ordinary, [&] { return driver_->fill(device, byte, bytes, stream); });
}

Status Device::launch(Kernel kernel, const ScanArguments& arguments, std::uint32_t blocks,
                      Driver::Stream stream) {
  return check("launch", Kind::ordinary,
               [&] { return driver_->launch(kernel, arguments, blocks, stream); });
}

Status Device::replay(Driver::Graph graph, const Steps& steps, Driver::Stream stream) {
  return check("replay", Kind::ordinary, [&] { return driver_->replay(graph, steps, stream); });
}

Status Device::move_rows(const RowMove& move, Driver::Stream stream) {
  return check("move rows", Kind::ordinary, [&] { return driver_->move_rows(move, stream); });
}

}  // namespace vecserve::engine::gpu
