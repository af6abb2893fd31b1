// Searches through HedgedClient, as a target for loadgen's sender: what the hedge tool, the rig of
// replicas and the lab send with. send() runs on the sender's thread, completions on the clients'.
// Always holds: every request is completed once, at the latest in give_up() or the destructor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/loadgen/sender.h"
#include "vecserve/hedge.h"

namespace vecserve::hedge {

struct HedgedTargetOptions {
  std::vector<std::string> addresses{};
  std::string token{};
  std::string collection = "loadgen";
  std::uint32_t dim = 128;
  std::uint32_t k = 10;
  std::chrono::microseconds timeout{1'000'000};
  std::uint32_t connections = 1;  // to each replica
  HedgeOptions hedge{};           // replicas are set from the above
  std::uint64_t seed = 1;         // of the vectors
};

class HedgedTarget final : public loadgen::Target {
 public:
  [[nodiscard]] static Result<std::unique_ptr<HedgedTarget>> connect(
      const HedgedTargetOptions& options);

  void send(std::size_t index, std::uint8_t kind, loadgen::Records& records) override;
  // Closes the connections, which ends all calls; what is sent afterwards fails.
  void give_up() override;

  [[nodiscard]] HedgeStats stats() const { return client_.stats(); }
  // One replica's own client.
  [[nodiscard]] Client& replica(std::size_t index) { return client_.replica(index); }

 private:
  HedgedTarget(HedgedClient client, const HedgedTargetOptions& options);

  HedgedTargetOptions options_;
  std::vector<float> coordinates_;  // vectors that requests take turns with
  SearchOptions search_;
  CallOptions call_;
  // Last: closing it ends the completions.
  HedgedClient client_;
};

}  // namespace vecserve::hedge
