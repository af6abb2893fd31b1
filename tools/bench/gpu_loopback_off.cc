// See gpu_loopback.h.
// Comes in where the tree has no store, and so no server. Main thread. Always holds: says that
// nothing was measured, and why.
#include "tools/bench/gpu_loopback.h"

namespace vecserve::bench {

void bench_loopback(const LoopbackRequest& request, Report& report) {
  progress("loopback: this tree has no store (VECSERVE_STORE=OFF), and so no vecserve to ask");
  report.add({{"case", "loopback"},
              {"rows", request.rows},
              {"dim", request.dim},
              {"not_measured", "built with VECSERVE_STORE=OFF"}});
}

}  // namespace vecserve::bench
