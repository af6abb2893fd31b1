// Fails the calls of an emulated device one after another: the first of a part of a test in the
// first round, the second in the next, until a round was made in which none was left to fail. Comes
// before the tests of what has to stand any of them. Test thread only. Always holds: calls outside
// of the part that the test armed are made as they are.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>

#include "engine/gpu/device.h"
#include "tests/support/simt/emulated_driver.h"

namespace vecserve::test::simt {

// A device of which one call fails, counted from where the test arms it.
class FailingDevice {
 public:
  FailingDevice(engine::gpu::DriverCode code, std::uint64_t at) : code_(code), at_(at) {}

  // One device for each object, which must outlive it.
  [[nodiscard]] std::shared_ptr<engine::gpu::Device> make() {
    return std::make_shared<engine::gpu::Device>(make_emulated_driver(), [this](std::uint64_t) {
      if (!armed_ || made_++ != at_) return engine::gpu::DriverCode::ok;
      reached_ = true;
      return code_;
    });
  }
  void arm() { armed_ = true; }
  void disarm() { armed_ = false; }
  // Whether the call that fails was made.
  [[nodiscard]] bool reached() const { return reached_; }

 private:
  const engine::gpu::DriverCode code_;
  const std::uint64_t at_;
  bool armed_ = false;
  bool reached_ = false;
  std::uint64_t made_ = 0;
};

// round(failing) for each call; `most` rounds are not believed.
template <typename Round>
void fail_in_turn(engine::gpu::DriverCode code, std::uint64_t most, const Round& round) {
  bool reached = true;
  for (std::uint64_t at = 0; reached; ++at) {
    CAPTURE(at);
    REQUIRE(at < most);
    FailingDevice failing(code, at);
    round(failing);
    reached = failing.reached();
  }
}

}  // namespace vecserve::test::simt
