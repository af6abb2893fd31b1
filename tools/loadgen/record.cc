// Making records and naming outcomes. Comes between sender and target; main thread. Always holds:
// every record is touched here once, so that the first request of a run meets no page fault of its
// own making.
#include "tools/loadgen/record.h"

namespace vecserve::loadgen {

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::unanswered:
      return "unanswered";
    case Outcome::ok:
      return "ok";
    case Outcome::refused:
      return "refused";
    case Outcome::expired:
      return "expired";
    case Outcome::failed:
      return "failed";
  }
  return "?";
}

Records::Records(const std::vector<std::uint64_t>& at_ns, const std::vector<std::uint8_t>& kinds)
    : records_(at_ns.size()) {
  for (std::size_t i = 0; i < at_ns.size(); ++i) {
    records_[i].intended_ns = at_ns[i];
    records_[i].kind = i < kinds.size() ? kinds[i] : std::uint8_t{0};
  }
}

}  // namespace vecserve::loadgen
