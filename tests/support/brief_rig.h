// A rig of replicas for tests: few calls of short vectors, over soon. Comes before the tests of rig
// and rounds. Any thread. Always holds: everything that a test does not change is the rig's
// default.
#pragma once

#include "tools/hedge/rig.h"

namespace vecserve::test {

[[nodiscard]] inline hedge::RigOptions brief_rig(double seconds, double warm_up_s) {
  hedge::RigOptions options;
  options.load = 0.2;
  options.seconds = seconds;
  options.warm_up_s = warm_up_s;
  options.dim = 16;
  return options;
}

}  // namespace vecserve::test
