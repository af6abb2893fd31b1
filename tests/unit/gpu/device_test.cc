// The checked wrapper: what each answer of a driver becomes, and when a device is given up.
// Comes before the tests of what calls it. Test thread only. Always holds: injected answers take
// the place of calls, which are then not made.
#include "engine/gpu/device.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/simt/emulated_driver.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using test::simt::make_emulated_driver;

TEST_CASE("device: out of memory is resource_exhausted and the device lives") {
  Device injected(make_emulated_driver(), [](std::uint64_t call) {
    return call == 0 ? DriverCode::out_of_memory : DriverCode::ok;
  });
  CHECK(injected.allocate(100).status().code() == StatusCode::resource_exhausted);
  CHECK(injected.alive());
  const Result<void*> memory = injected.allocate(100);
  REQUIRE(memory.ok());
  injected.release(*memory);
  CHECK(injected.allocate(std::size_t{1} << 50).status().code() == StatusCode::resource_exhausted);
  CHECK(injected.alive());
}

TEST_CASE("device: a call that failed leaves others, a lost device takes no call any more") {
  Device injected(make_emulated_driver(), [](std::uint64_t call) {
    return call == 0 ? DriverCode::failed : call == 2 ? DriverCode::lost : DriverCode::ok;
  });
  CHECK(injected.make_event().status().code() == StatusCode::unavailable);
  CHECK(injected.make_event().ok());
  CHECK(injected.make_event().status().code() == StatusCode::unavailable);
  CHECK_FALSE(injected.alive());
  CHECK(injected.failure() == "make event: injected");
  const std::uint64_t calls = injected.calls();
  CHECK(injected.allocate(1).status().code() == StatusCode::unavailable);
  injected.release(&injected);
  CHECK(injected.calls() == calls);
  injected.condemn("later");
  CHECK(injected.failure() == "make event: injected");
}

TEST_CASE("device: a wait that fails gives the device up, for who knows what it still writes") {
  Device injected(make_emulated_driver(), [](std::uint64_t call) {
    return call == 1 ? DriverCode::failed : DriverCode::ok;
  });
  const Result<Driver::Event> event = injected.make_event();
  REQUIRE(event.ok());
  CHECK_FALSE(injected.wait(*event).ok());
  CHECK_FALSE(injected.alive());
}

TEST_CASE("device: a wait that is only tried gives the device up when it is lost, and only then") {
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost}) {
    Device injected(make_emulated_driver(),
                    [code](std::uint64_t call) { return call == 1 ? code : DriverCode::ok; });
    const Driver::Event event = injected.make_event().value();
    CHECK(injected.try_wait(event).message() == "GPU, wait: injected");
    CHECK(injected.alive() == (code == DriverCode::failed));
    CHECK(injected.try_wait(event).ok() == (code == DriverCode::failed));
  }
}

TEST_CASE("device: a kernel that touches what is not its own loses the device") {
  Device device(make_emulated_driver());
  const Result<Driver::Stream> stream = device.make_stream(Driver::Priority::search);
  REQUIRE(stream.ok());
  ScanArguments arguments{};
  arguments.queries = reinterpret_cast<const DeviceQuery*>(test::simt::kNowhere);
  arguments.query_count = 1;
  REQUIRE(device.launch(Kernel::refine, arguments, 1, *stream).ok());
  CHECK(device.drain(*stream).code() == StatusCode::unavailable);
  CHECK(device.failure().find("outside of what was allocated") != std::string::npos);
}

TEST_CASE("device: a graph replays steps of its form, with other parameters, and no others") {
  Device device(make_emulated_driver());
  const Driver::Stream stream = device.make_stream(Driver::Priority::search).value();
  auto* const memory = static_cast<std::byte*>(device.allocate(100).value());
  auto* const host = static_cast<std::byte*>(device.allocate_pinned(100).value());
  Steps steps;
  steps.fill(memory, 1, 10);
  steps.copy_out(host, memory, 10);
  const Driver::Graph graph = device.make_graph(steps).value();
  CHECK(host[0] != std::byte{1});  // making it does nothing
  for (const std::uint8_t byte : {std::uint8_t{1}, std::uint8_t{7}}) {
    steps.clear();
    steps.fill(memory, byte, 90);
    steps.copy_out(host + byte, memory, 80);
    REQUIRE(device.replay(graph, steps, stream).ok());
    REQUIRE(device.drain(stream).ok());
    CHECK(host[byte] == std::byte{byte});
    CHECK(host[byte + 79] == std::byte{byte});
  }
  steps.fill(memory, 9, 1);
  CHECK(device.replay(graph, steps, stream).code() == StatusCode::unavailable);
  REQUIRE(device.drain(stream).ok());
  CHECK(memory[0] == std::byte{7});  // of what fails nothing is done
  CHECK(device.alive());
  device.end_graph(graph);
  device.end_graph(nullptr);
  device.release(memory);
  device.release_pinned(host);
}

TEST_CASE("device: the form of steps is their kinds and kernels, whatever the parameters") {
  const auto form = [](Kernel first, Kernel second, std::size_t bytes) {
    Steps steps;
    steps.fill(nullptr, 3, bytes);
    steps.launch(first, {}, static_cast<std::uint32_t>(bytes));
    steps.launch(second, {}, 1);
    return steps.form();
  };
  CHECK(form(Kernel::scan_one, Kernel::pack, 1) == form(Kernel::scan_one, Kernel::pack, 50));
  CHECK(form(Kernel::scan_one, Kernel::pack, 1) != form(Kernel::pack, Kernel::scan_one, 1));
  CHECK(form(Kernel::scan_one, Kernel::pack, 1) != form(Kernel::scan_few, Kernel::pack, 1));
  Steps fill;
  fill.fill(nullptr, 0, 1);
  Steps copy;
  copy.copy_out(nullptr, nullptr, 1);
  CHECK(fill.form() != copy.form());
  std::set<std::uint64_t> forms = {fill.form(), copy.form()};
  for (unsigned kernel = 0; kernel <= static_cast<unsigned>(Kernel::pack); ++kernel) {
    Steps one;
    one.launch(static_cast<Kernel>(kernel), {}, 1);
    CHECK(forms.insert(one.form()).second);
  }
  CHECK(Steps().form() != fill.form());
}

}  // namespace
