// Lanes are made whole or not at all, and give back what they took.
// Comes before the tests of scans. Test thread only.
// Always holds: the emulated driver knows what was not released.
#include "engine/gpu/device_lane.h"

#include <catch2/catch.hpp>

#include "engine/gpu/device_scan.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

TEST_CASE(
    "device lane: whichever call fails, there is no lane, and the next try finds all memory") {
  const DeviceTuning tuning = small_gpu().tuning;
  // Room for one lane and not for two: what a failed one kept would show.
  EmulatedOptions options;
  options.memory_bytes = tuning.input_bytes + tuning.survivors * 20 + tuning.packed * 16 + 4'096;
  std::uint64_t at = UINT64_MAX;
  std::uint64_t calls = 0;
  auto device = std::make_shared<Device>(make_emulated_driver(options), [&](std::uint64_t) {
    return calls++ == at ? DriverCode::out_of_memory : DriverCode::ok;
  });
  for (std::uint64_t fail = 0; fail < 8; ++fail) {
    CAPTURE(fail);
    calls = 0;
    at = fail;
    CHECK(DeviceLane::make(device, tuning).status().code() == StatusCode::resource_exhausted);
    at = UINT64_MAX;
    const auto lane = DeviceLane::make(device, tuning);
    REQUIRE(lane.ok());
    CHECK((*lane)->states_bytes >= sizeof(QueryState) * tuning.survivors / tuning.survivors_min);
  }
}

std::uint64_t form_of(std::initializer_list<Kernel> kernels) {
  Steps steps;
  steps.fill(nullptr, 0xff, 4);
  for (const Kernel kernel : kernels) steps.launch(kernel, {}, 1);
  steps.copy_out(nullptr, nullptr, 16);
  steps.copy_out(nullptr, nullptr, 16);
  return steps.form();
}

TEST_CASE("device lane: all that it was given is given back, and its stream is one of searches") {
  DriverLedger ledger;
  EmulatedOptions options;
  options.ledger = &ledger;
  const auto device = std::make_shared<Device>(make_emulated_driver(options));
  {
    const auto lane = DeviceLane::make(device, small_gpu().tuning).value();
    CHECK(ledger.search_streams == 1);
    CHECK(ledger.insert_streams == 0);
    CHECK(ledger.pinned == 2);
    CHECK(ledger.device == 4);
    CHECK(ledger.events == 1);
    CHECK(ledger.graphs == 18);
    lane->give_up_graph(form_of({Kernel::scan_one, Kernel::refine, Kernel::pack}));
    CHECK(ledger.graphs == 17);
  }
  CHECK(ledger.all() == 0);
}

TEST_CASE("device lane: it asks for the memory that its tuning says, to the byte") {
  DriverLedger ledger;
  EmulatedOptions options;
  options.ledger = &ledger;
  const auto device = std::make_shared<Device>(make_emulated_driver(options));
  DeviceTuning tuning = small_gpu().tuning;
  tuning.survivors = 3 * 4'096;
  tuning.packed = 777;
  const auto lane = DeviceLane::make(device, tuning).value();
  const std::size_t packed = 777 * sizeof(PackedSurvivor);
  CHECK(ledger.pinned_bytes == tuning.input_bytes + lane->states_bytes + packed);
  CHECK(ledger.device_bytes ==
        tuning.input_bytes + packed +
            std::size_t{3} * 4'096 * (sizeof(std::uint32_t) + sizeof(DeviceSurvivor)));
}

TEST_CASE("device lane: what is still in its stream is done before its memory goes") {
  const auto device = std::make_shared<Device>(make_emulated_driver());
  auto lane = DeviceLane::make(device, small_gpu().tuning).value();
  REQUIRE(device->fill(lane->input, 1, 1'000, lane->stream).ok());
  REQUIRE(device->copy_out(lane->output_host, lane->input, 16, lane->stream).ok());
  lane.reset();
  CHECK(device->failure() == "");
}

TEST_CASE("device lane: its output has room for the states of all queries and for the totals") {
  const auto device = std::make_shared<Device>(make_emulated_driver());
  DeviceTuning tuning = small_gpu().tuning;
  for (const std::uint32_t least : {512u, tuning.survivors, 2 * tuning.survivors}) {
    CAPTURE(least);
    tuning.survivors_min = least;
    const auto lane = DeviceLane::make(device, tuning).value();
    const std::size_t queries = DeviceScan(*device, tuning).queries_max();
    CHECK(lane->states_bytes == queries * sizeof(QueryState) + sizeof(ScanTotals));
  }
}

TEST_CASE("device lane: there is a graph for every kernel, for few rows and for many") {
  const auto device = std::make_shared<Device>(make_emulated_driver());
  DeviceTuning tuning = small_gpu().tuning;
  const auto lane = DeviceLane::make(device, tuning).value();
  for (const Kernel scan :
       {Kernel::scan_one, Kernel::scan_few, Kernel::scan_groups, Kernel::scan_bits}) {
    CHECK(lane->graph_for(form_of({scan, Kernel::refine, Kernel::pack})) != nullptr);
    const auto two = form_of({scan, Kernel::refine, scan, Kernel::refine, Kernel::pack});
    CHECK(lane->graph_for(two) != nullptr);
  }
  const auto sifted = [](Kernel first, Kernel rest) {
    return form_of({first, Kernel::refine, rest, Kernel::refine, Kernel::pack});
  };
  CHECK(lane->graph_for(sifted(Kernel::scan_one, Kernel::sift_one)) != nullptr);
  CHECK(lane->graph_for(sifted(Kernel::scan_few, Kernel::sift_few)) != nullptr);
  CHECK(lane->graph_for(sifted(Kernel::scan_bits, Kernel::sift_few)) == nullptr);
  // The same where vectors are read, which bits have not.
  for (const Kernel scan :
       {Kernel::scan_one, Kernel::scan_few, Kernel::scan_groups, Kernel::scan_bits}) {
    const auto one = form_of({scan, Kernel::refine, Kernel::sharpen, Kernel::refine, Kernel::pack});
    const auto two = form_of({scan, Kernel::refine, scan, Kernel::refine, Kernel::sharpen,
                              Kernel::refine, Kernel::pack});
    CHECK((lane->graph_for(one) != nullptr) == (scan != Kernel::scan_bits));
    CHECK((lane->graph_for(two) != nullptr) == (scan != Kernel::scan_bits));
  }
  CHECK(lane->graph_for(form_of({Kernel::pack})) == nullptr);
  lane->give_up_graph(sifted(Kernel::scan_one, Kernel::sift_one));
  CHECK(lane->graph_for(sifted(Kernel::scan_one, Kernel::sift_one)) == nullptr);
  CHECK(lane->graph_for(sifted(Kernel::scan_few, Kernel::sift_few)) != nullptr);
  tuning.graphs = false;
  const auto without = DeviceLane::make(device, tuning).value();
  CHECK(without->graph_for(form_of({Kernel::scan_one, Kernel::refine, Kernel::pack})) == nullptr);
}

TEST_CASE("device lane: graphs of the kernel of sm_90a are made where there is one") {
  const auto form = form_of({Kernel::scan_warpgroups, Kernel::refine, Kernel::pack});
  const auto two = form_of({Kernel::scan_warpgroups, Kernel::refine, Kernel::scan_warpgroups,
                            Kernel::refine, Kernel::pack});
  for (const GroupKernel kernel : {GroupKernel::mma, GroupKernel::wgmma}) {
    const bool there = kernel == GroupKernel::wgmma;
    const auto device = std::make_shared<Device>(make_emulated_driver(emulated_for(kernel)));
    const auto lane = DeviceLane::make(device, small_gpu().tuning).value();
    CHECK((lane->graph_for(form) != nullptr) == there);
    CHECK((lane->graph_for(two) != nullptr) == there);
  }
}

TEST_CASE("device lane: a graph that cannot be made is missing, and the lane is there") {
  std::uint64_t calls = 0;
  // Eight calls make the lane; of its 18 graphs the first and the fifth fail.
  const auto device = std::make_shared<Device>(make_emulated_driver(), [&](std::uint64_t) {
    const std::uint64_t call = calls++;
    return call == 8 ? DriverCode::out_of_memory
                     : (call == 12 ? DriverCode::failed : DriverCode::ok);
  });
  const auto lane = DeviceLane::make(device, small_gpu().tuning);
  REQUIRE(lane.ok());
  CHECK(calls == 26);
  const auto short_form = [](Kernel scan) { return form_of({scan, Kernel::refine, Kernel::pack}); };
  CHECK((*lane)->graph_for(short_form(Kernel::scan_one)) == nullptr);
  CHECK((*lane)->graph_for(short_form(Kernel::scan_few)) == nullptr);
  CHECK((*lane)->graph_for(short_form(Kernel::scan_bits)) != nullptr);
}

}  // namespace
