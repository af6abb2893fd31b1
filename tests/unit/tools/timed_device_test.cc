// The device that only takes time: how long batches take, that they stop when nobody wants them,
// and what stalls do, against real time with room for a busy host: never shorter, and counted by
// its own books. Main thread.
#include "tools/batchd/timed_device.h"

#include <catch2/catch.hpp>
#include <memory>

#include "net/batcher.h"

using namespace vecserve;
using namespace vecserve::batchd;

namespace {

// A batch of one search, closed by nobody.
net::Batch batch_of_one() {
  class Nobody final : public net::SearchWork {
   public:
    using SearchWork::SearchWork;
    void finish(const net::Outcome& /*outcome*/) noexcept override {}
  };
  net::Batch batch;
  auto work = std::make_shared<Nobody>(std::make_shared<net::Peer>(), net::WorkTerms(),
                                       net::SearchWork::Call());
  work->queries.emplace_back();
  batch.works.push_back(std::move(work));
  batch.statuses.resize(1);
  batch.stop = std::make_shared<CancelToken>();
  return batch;
}

double run_us(TimedDevice& device, net::Batch& batch) {
  const std::uint64_t begin_ns = loadgen::steady_ns();
  device.run(batch);
  return static_cast<double>(loadgen::steady_ns() - begin_ns) * 1e-3;
}

}  // namespace

TEST_CASE("timed device: a batch takes its cost and is answered by nothing") {
  for (const bool on_processor : {true, false}) {
    TimedDeviceOptions options;
    options.on_processor = on_processor;
    TimedDevice device(options);
    net::Batch batch = batch_of_one();
    CHECK(run_us(device, batch) >= 400.0);
    CHECK(device.finished_us() == Approx(400.0));
    CHECK(device.finished() == 1);
    CHECK(batch.statuses[0].ok());
    const auto& work = static_cast<net::SearchWork&>(*batch.works[0]);
    CHECK(work.result().query_count() == 1);
    CHECK(work.result().of(0).empty());
  }
}

TEST_CASE("timed device: what nobody wants is not run") {
  TimedDevice device({});
  net::Batch batch = batch_of_one();
  batch.stop->cancel();
  device.run(batch);
  CHECK(batch.statuses[0].code() == StatusCode::cancelled);
  CHECK(device.finished_us() == 0.0);
  CHECK(device.stopped_us() == 0.0);
}

TEST_CASE("timed device: a batch that meets a stall ends so much later") {
  TimedDeviceOptions options;
  options.on_processor = false;
  options.stalls = {{0, 20'000'000}};
  TimedDevice device(options);
  net::Batch before = batch_of_one();
  CHECK(device.finished_us() == 0.0);
  device.run(before);  // stalls count from begin()
  device.begin(loadgen::steady_ns());
  net::Batch batch = batch_of_one();
  CHECK(run_us(device, batch) >= 20'000.0);      // what is left of the stall, and its own time
  CHECK(device.finished_us() == Approx(800.0));  // in which the stall does not count
}

TEST_CASE("timed device: the same seed draws the same times, with the mean that it says") {
  TimedDeviceOptions options;
  options.batch_cost = std::chrono::microseconds(0);
  options.request_cost = std::chrono::microseconds(2);
  options.sigma = 0.3;
  options.slow_share = 0.05;
  options.slow_factor = 5.0;
  double sums[2] = {0.0, 0.0};
  for (double& sum : sums) {
    TimedDevice device(options);
    net::Batch batch = batch_of_one();
    for (int i = 0; i < 3'000; ++i) device.run(batch);
    sum = device.finished_us();
  }
  CHECK(sums[0] == sums[1]);
  // 3,000 draws of a deviation near the mean: within a tenth, far beyond chance. Times are cut to
  // whole nanoseconds.
  CHECK(sums[0] / 3'000.0 == Approx(options.mean_us(1.0)).epsilon(0.1));
}

TEST_CASE("timed device: stalls come from their seed, in order and of their length") {
  const std::vector<loadgen::Stall> stalls = plan_stalls(0.5, 20.0, 100.0, 7);
  const std::vector<loadgen::Stall> again = plan_stalls(0.5, 20.0, 100.0, 7);
  REQUIRE(stalls.size() == again.size());
  CHECK(stalls.size() > 130);  // 100 s / 0.52 s, and five deviations less
  CHECK(stalls.size() < 260);
  for (std::size_t i = 0; i < stalls.size(); ++i) {
    CHECK(stalls[i].at_ns == again[i].at_ns);
    CHECK(stalls[i].length_ns == 20'000'000);
    if (i > 0) CHECK(stalls[i].at_ns >= stalls[i - 1].end_ns());
  }
  CHECK(plan_stalls(0.0, 20.0, 100.0, 7).empty());
}
