// The two services over one operation: a loop of the processor for as long as the batch costs.
// Bounded is a few lines, because everything is in net/dispatch; unbounded shows what those bounds
// are worth. After net and loadgen's sender, before batchd's main and the lab.
// Always holds: both run the same operation for the same batch.
#include "tools/batchd/batch_service.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "net/dispatch.h"
#include "net/lane.h"

namespace vecserve::batchd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr net::GroupId kGroup = 1;

// The operation: time of the processor, and nothing else.
void operate(const BatchServiceOptions& options, std::size_t requests) {
  const Clock::time_point end =
      Clock::now() + options.batch_cost + options.request_cost * static_cast<int>(requests);
  while (Clock::now() < end) {
  }
}

std::uint32_t clipped(std::uint64_t ns) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ns, UINT32_MAX));
}

std::uint64_t ns_between(Clock::time_point from, Clock::time_point to) {
  return to > from ? static_cast<std::uint64_t>(
                         std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count())
                   : 0;
}

}  // namespace

// ---- bounded: the serving core of vecserve
// -------------------------------------------------------
class BatchService::Bounded final : public loadgen::Target {
 public:
  explicit Bounded(const BatchServiceOptions& options)
      : options_(options),
        device_(options),
        dispatch_(dispatch_options(options), clock_),
        lanes_(dispatch_, device_, 1),
        peer_(dispatch_.join()) {
    started_ = lanes_.start().ok();
  }

  void send(std::size_t index, std::uint8_t /*kind*/, loadgen::Records& records) override {
    const Clock::time_point now = Clock::now();
    net::WorkTerms terms;
    terms.group = kGroup;
    terms.deadline = now + options_.deadline;
    auto work = std::make_shared<Request>(peer_, terms, index, records);
    if (!started_) return records.complete(index, loadgen::Outcome::failed);
    const std::optional<net::Refusal> refusal = dispatch_.submit(std::move(work));
    if (refusal) records.complete(index, loadgen::Outcome::refused);
  }

  void give_up() override {
    dispatch_.cancel_all(*peer_);
    // What runs is done within a batch; a minute is for machines that stand still.
    (void)dispatch_.wait_idle(Clock::now() + std::chrono::minutes(1));
  }

 private:
  class Request final : public net::Work {
   public:
    Request(std::shared_ptr<net::Peer> peer, const net::WorkTerms& terms, std::size_t index,
            loadgen::Records& records)
        : Work(std::move(peer), terms), index_(index), records_(records) {}
    void finish(const net::Outcome& outcome) noexcept override {
      loadgen::Stages stages;
      stages.queue_ns = clipped(outcome.stages.queue_ns);
      stages.batch_ns = clipped(outcome.stages.batch_ns);
      stages.scan_ns = clipped(outcome.stages.run_ns);
      stages.batch_size = outcome.batch_works;
      records_.complete(index_, outcome_of(outcome.status), stages);
    }

   private:
    static loadgen::Outcome outcome_of(const Status& status) {
      if (status.ok()) return loadgen::Outcome::ok;
      return status.code() == StatusCode::deadline_exceeded ? loadgen::Outcome::expired
                                                            : loadgen::Outcome::failed;
    }
    const std::size_t index_;
    loadgen::Records& records_;
  };

  class Processor final : public net::Device {
   public:
    explicit Processor(const BatchServiceOptions& options) : options_(options) {}
    void run(net::Batch& batch) noexcept override { operate(options_, batch.works.size()); }

   private:
    const BatchServiceOptions options_;
  };

  static net::DispatchOptions dispatch_options(const BatchServiceOptions& options) {
    net::DispatchOptions dispatch;
    dispatch.lanes = 1;  // the operation keeps one processor busy
    dispatch.batch_max = options.batch_max;
    dispatch.first_guess = options.batch_cost + options.request_cost * options.batch_max;
    return dispatch;
  }

  const BatchServiceOptions options_;
  const engine::SystemClock clock_;
  Processor device_;
  net::Dispatch dispatch_;
  net::Lanes lanes_;
  std::shared_ptr<net::Peer> peer_;
  bool started_ = false;
};

// ---- unbounded: the naive service
// ----------------------------------------------------------------
class BatchService::Unbounded final : public loadgen::Target {
 public:
  explicit Unbounded(const BatchServiceOptions& options)
      : options_(options), thread_([this] { run(); }) {}
  ~Unbounded() override {
    give_up();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void send(std::size_t index, std::uint8_t /*kind*/, loadgen::Records& records) override {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() >= kNaiveQueueMax) {
        return records.complete(index, loadgen::Outcome::refused);
      }
      queue_.push_back({index, &records, Clock::now()});
    }
    changed_.notify_one();
  }

  void give_up() override {
    std::unique_lock lock(mutex_);
    for (const Waiting& waiting : queue_) {
      waiting.records->complete(waiting.index, loadgen::Outcome::failed);
    }
    queue_.clear();
    idle_.wait(lock, [&] { return !running_; });
  }

 private:
  struct Waiting {
    std::size_t index;
    loadgen::Records* records;
    Clock::time_point came;
  };

  // As such services are written: wait for a batch or a timer, run it, repeat.
  void run() {
    std::vector<Waiting> batch;
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      const Clock::time_point timer = Clock::now() + options_.naive_wait;
      changed_.wait_until(lock, timer,
                          [&] { return stopping_ || queue_.size() >= options_.batch_max; });
      const std::size_t count = std::min<std::size_t>(queue_.size(), options_.batch_max);
      batch.assign(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
      running_ = true;
      lock.unlock();
      run_batch(batch);
      lock.lock();
      running_ = false;
      idle_.notify_all();
    }
  }

  void run_batch(const std::vector<Waiting>& batch) const {
    if (batch.empty()) return;
    const Clock::time_point began = Clock::now();
    operate(options_, batch.size());
    const Clock::time_point ended = Clock::now();
    for (const Waiting& waiting : batch) {
      loadgen::Stages stages;
      stages.queue_ns = clipped(ns_between(waiting.came, began));
      stages.scan_ns = clipped(ns_between(began, ended));
      stages.batch_size = static_cast<std::uint32_t>(batch.size());
      waiting.records->complete(waiting.index, loadgen::Outcome::ok, stages);
    }
  }

  const BatchServiceOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_, idle_;
  std::deque<Waiting> queue_;
  bool running_ = false;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

std::string_view to_string(Policy policy) {
  return policy == Policy::bounded ? "bounded" : "unbounded";
}

std::optional<Policy> parse_policy(std::string_view text) {
  if (text == "bounded") return Policy::bounded;
  if (text == "unbounded") return Policy::unbounded;
  return std::nullopt;
}

double BatchServiceOptions::capacity() const {
  const std::chrono::duration<double> batch =
      batch_cost + request_cost * static_cast<int>(batch_max);
  return batch_max / std::max(1e-9, batch.count());
}

BatchService::BatchService(const BatchServiceOptions& options) {
  if (options.policy == Policy::bounded) {
    target_ = std::make_unique<Bounded>(options);
  } else {
    target_ = std::make_unique<Unbounded>(options);
  }
}

BatchService::~BatchService() = default;

void BatchService::send(std::size_t index, std::uint8_t kind, loadgen::Records& records) {
  target_->send(index, kind, records);
}

void BatchService::give_up() {
  target_->give_up();
}

}  // namespace vecserve::batchd
