// The in-process targets. Comes behind the sender; see the header for threads. Always
// holds: the worker sleeps only while the queue is empty, and a push after that wakes
// it.
#include "tools/loadgen/local_target.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <memory>

namespace vecserve::loadgen {
namespace {

// Short services are spun, for a sleep would take longer than they do.
constexpr std::uint64_t kServiceSpinNs = 200'000;

template <typename T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void InlineTarget::send(std::size_t index, std::uint8_t, Records& records) {
  if (stall_.length_ns > 0) {
    const std::uint64_t now = steady_ns() - records.start_ns();
    if (stall_.holds(now)) wait_until(records.start_ns() + stall_.end_ns(), kServiceSpinNs);
  }
  records.complete(index, Outcome::ok);
}

ServerTarget::ServerTarget(const Options& options)
    : options_(options),
      ring_(std::bit_ceil(std::clamp(options.queue, 1u, kLocalQueueMax))),
      worker_([this] { run(); }) {}

ServerTarget::~ServerTarget() {
  stop_.store(true, std::memory_order_relaxed);
  pushed_.fetch_add(std::uint64_t{1} << 63, std::memory_order_release);  // a change to wake it
  pushed_.notify_one();
  worker_.join();
}

void ServerTarget::give_up() {
  hurry_.store(true, std::memory_order_relaxed);
  while (popped_.load(std::memory_order_acquire) != pushed_.load(std::memory_order_relaxed)) {
    std::this_thread::yield();
  }
  hurry_.store(false, std::memory_order_relaxed);
}

void ServerTarget::send(std::size_t index, std::uint8_t, Records& records) {
  const std::uint64_t pushed = pushed_.load(std::memory_order_relaxed);
  if (pushed - popped_.load(std::memory_order_acquire) >=
      std::min<std::uint64_t>(options_.queue, ring_.size())) {
    records.complete(index, Outcome::refused);
    return;
  }
  if (records_ != &records) records_ = &records;  // the worker waits for the first of a run
  ring_[pushed & (ring_.size() - 1)] = static_cast<std::uint32_t>(index);
  pushed_.store(pushed + 1, std::memory_order_release);
  pushed_.notify_one();
}

void ServerTarget::run() {
  prepare_thread(-1);
  std::uint64_t popped = 0;
  while (true) {
    const std::uint64_t pushed = pushed_.load(std::memory_order_acquire);
    const bool stopping = stop_.load(std::memory_order_relaxed);
    if ((pushed & ~(std::uint64_t{1} << 63)) == popped) {
      if (stopping) return;
      pushed_.wait(pushed, std::memory_order_acquire);
      continue;
    }
    const std::uint32_t index = ring_[popped & (ring_.size() - 1)];
    Records& records = *records_;
    const std::uint64_t start = records.start_ns();
    std::uint64_t begin = steady_ns();
    if (options_.stall.holds(begin - start)) {
      begin = wait_until(start + options_.stall.end_ns(), kServiceSpinNs);
    }
    Stages stages;
    const std::uint64_t waited = begin - start - records.all()[index].sent_ns;
    stages.queue_ns = static_cast<std::uint32_t>(std::min<std::uint64_t>(waited, UINT32_MAX));
    stages.scan_ns = static_cast<std::uint32_t>(options_.service_ns);
    stages.batch_size = 1;
    if (!stopping && !hurry_.load(std::memory_order_relaxed)) {
      wait_until(begin + options_.service_ns, kServiceSpinNs);
    }
    records.complete(index, Outcome::ok, stages);
    ++popped;
    popped_.store(popped, std::memory_order_release);
  }
}

Result<std::unique_ptr<Target>> make_local_target(std::string_view spec) {
  if (spec == "inline") return std::unique_ptr<Target>(std::make_unique<InlineTarget>());
  if (spec.starts_with("server:")) {
    spec.remove_prefix(7);
    ServerTarget::Options options;
    const std::size_t comma = spec.find(',');
    double micros = 0.0;
    const bool queue_fits =
        comma == spec.npos ||
        (parse_whole(spec.substr(comma + 1), options.queue) && options.queue > 0);
    if (parse_whole(spec.substr(0, comma), micros) && micros > 0.0 && micros <= 1e6 && queue_fits &&
        options.queue <= kLocalQueueMax) {
      options.service_ns = static_cast<std::uint64_t>(micros * 1e3);
      return std::unique_ptr<Target>(std::make_unique<ServerTarget>(options));
    }
  }
  return Status::invalid_argument("target",
                                  "in this process: inline, or server:MICROSECONDS[,QUEUE]");
}

}  // namespace vecserve::loadgen
