// May the figures of a run be believed? Comes after the summary, before anything is printed; pure,
// any thread. Always holds: each reason names the figure and the limit that it broke, and a run is
// as bad as its worst reason.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/loadgen/summary.h"

namespace vecserve::loadgen {

enum class Verdict : std::uint8_t { valid, suspect, invalid };
[[nodiscard]] const char* to_string(Verdict verdict);

struct Judgement {
  Verdict verdict = Verdict::valid;
  std::vector<std::string> reasons{};
};

// invalid: less than 95 % sent on time, the plan not sent to its end, clocks apart by more than
//   1 %, or nothing measured.
// suspect: less than 99.9 % on time; the sender's own p99 above a tenth of the response's; the
//   response's p99 within three times that of an idle thread on this host; more than 1 % not
//   answered or failed; the sender blocked by its target for more than a tenth of the response's
//   p99; the response time growing through the run (then its length sets the figures).
[[nodiscard]] Judgement judge(const Summary& summary);

}  // namespace vecserve::loadgen
