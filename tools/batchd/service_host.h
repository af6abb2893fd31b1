// The real server within this process, over a device of the caller's choice or over real scans of a
// database in memory: what batchd listens with, and what the replicas of rigs and tests are. The
// protocol is vecserve's, so that loadgen, HedgedClient and vecctl reach it. Any thread.
// Always holds: once started it listens, and its collection is there; the destructor answers what
// is left and ends all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/device.h"
#include "net/serving.h"
#include "tools/batchd/batch_service.h"
#include "vecserve/status.h"

namespace vecserve::batchd {

struct ServiceHostOptions {
  std::string listen = "127.0.0.1:0";
  std::string collection = "loadgen";
  std::uint32_t dim = 128;
  std::uint64_t rows = 0;  // random ones, for real scans
  std::uint64_t seed = 1;
  net::ServingOptions serving{};
  net::Device* device = nullptr;  // must outlive the host; null: scans of the rows
};

// How a batch service of either policy serves: one lane, batches of at most batch_max.
[[nodiscard]] net::ServingOptions serving_of(const BatchServiceOptions& options);

class ServiceHost {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ServiceHost>> start(
      const ServiceHostOptions& options);
  ~ServiceHost();
  ServiceHost(const ServiceHost&) = delete;
  ServiceHost& operator=(const ServiceHost&) = delete;

  // With the port that was given for 0.
  [[nodiscard]] std::string address() const;

 private:
  struct State;
  explicit ServiceHost(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vecserve::batchd
