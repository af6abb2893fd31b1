// See admission.h.
// judge() runs under the dispatch's mutex, Budget on any thread. Always holds: predictions err
// towards refusing, except that an idle server always tries (Dispatch::submit), or a slow spell
// would be remembered for ever.
#include "net/admission.h"

#include <algorithm>

namespace vecserve::net {

Duration predicted_finish(const Ahead& ahead) {
  const Duration in_turn = ahead.running + ahead.queued + ahead.own;
  if (ahead.lanes < 2) return in_turn;
  // The lane that frees first, and then the others but the one that a long batch holds on to. Each
  // running batch gets 1/lanes of the device, so its end is `lanes` times its rest away.
  const auto lanes = static_cast<Duration::rep>(ahead.lanes);
  const Duration beside =
      ahead.first_done * lanes + (ahead.queued + ahead.own) * lanes / (lanes - 1);
  return std::min(in_turn, beside);
}

namespace {

// On the reserved share of its class alone; never when there is none.
Duration finish_on_share(const Ahead& ahead) {
  if (ahead.share <= 0.0) return Duration::max();
  const auto ns = static_cast<double>((ahead.of_class + ahead.own).count()) / ahead.share;
  return ahead.running + Duration(static_cast<Duration::rep>(ns));
}

}  // namespace

std::optional<Refusal> judge(const Ahead& ahead, Duration left, Duration target) {
  const Duration finish = predicted_finish(ahead);
  const Duration dearer = std::max(ahead.own - ahead.slow_batch, Duration(0));
  const Duration allowed = target + dearer + ahead.slack;
  if (finish <= left && finish <= allowed) return std::nullopt;
  if (ahead.share < 1.0 && ahead.of_class + ahead.own <= target + dearer &&
      std::min(finish, finish_on_share(ahead)) <= left) {
    return std::nullopt;
  }
  Refusal refusal;
  refusal.predicted_wait = finish - ahead.own;
  if (finish > left) {
    refusal.reason = RefusalReason::deadline;
    refusal.retry_after = left <= Duration(0) ? Duration(0) : finish - left;
  } else {
    refusal.reason = RefusalReason::queue_time;
    refusal.retry_after = finish - allowed;
  }
  return refusal;
}

bool Budget::take(std::size_t bytes) {
  if (works_.fetch_add(1, std::memory_order_acq_rel) >= works_max_) {
    works_.fetch_sub(1, std::memory_order_acq_rel);
    return false;
  }
  const std::size_t before = bytes_.fetch_add(bytes, std::memory_order_acq_rel);
  if (before != 0 && (before >= bytes_max_ || bytes > bytes_max_ - before)) {
    give(bytes);
    return false;
  }
  return true;
}

void Budget::give(std::size_t bytes) {
  bytes_.fetch_sub(bytes, std::memory_order_acq_rel);
  works_.fetch_sub(1, std::memory_order_acq_rel);
}

}  // namespace vecserve::net
