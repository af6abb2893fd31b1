// A service that runs one operation in batches, as a target for loadgen and the lab. Two policies:
// bounded is vecserve's own serving core (net/dispatch), used as a library; unbounded is the naive
// service that it replaces, kept as a demonstration of what happens without bounds.
// Threads: send() from the sender's; the service owns its lane. Always holds: every request that
// was sent is completed once, at the latest in give_up() or the destructor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "tools/loadgen/sender.h"

namespace vecserve::batchd {

enum class Policy : std::uint8_t { bounded, unbounded };

[[nodiscard]] std::string_view to_string(Policy policy);
[[nodiscard]] std::optional<Policy> parse_policy(std::string_view text);

struct BatchServiceOptions {
  Policy policy = Policy::bounded;
  std::uint32_t batch_max = 16;
  // What a batch costs the processor: base + each request's own share.
  std::chrono::microseconds batch_cost{300};
  std::chrono::microseconds request_cost{100};
  std::chrono::milliseconds deadline{50};  // of every request; the naive service knows of none
  // The naive service waits so long for a batch to fill, busy or not.
  std::chrono::microseconds naive_wait{2'000};

  // Requests a second at full batches.
  [[nodiscard]] double capacity() const;
};

// How many of a naive service's requests may wait: more than any run sends, so that the bound is
// there and never bites, which is the point of the demonstration.
inline constexpr std::size_t kNaiveQueueMax = std::size_t{1} << 25;

class BatchService final : public loadgen::Target {
 public:
  explicit BatchService(const BatchServiceOptions& options);
  ~BatchService() override;
  BatchService(const BatchService&) = delete;
  BatchService& operator=(const BatchService&) = delete;

  void send(std::size_t index, std::uint8_t kind, loadgen::Records& records) override;
  // Completes everything that waits as failed, without running it.
  void give_up() override;

 private:
  class Bounded;
  class Unbounded;
  std::unique_ptr<loadgen::Target> target_;
};

}  // namespace vecserve::batchd
