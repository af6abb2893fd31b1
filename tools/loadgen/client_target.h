// A target over the wire: vecserve, or a batch service that speaks its protocol, through the client
// library. Comes behind the sender; send() runs on the sender's thread, completions on the
// client's. Always holds: a request is sent once, never again, and is not refused on this side but
// for lack of room in the client, so that what is measured is the server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/loadgen/mix.h"
#include "tools/loadgen/random.h"
#include "tools/loadgen/sender.h"
#include "vecserve/client.h"

namespace vecserve::loadgen {

struct ClientTargetOptions {
  std::string address{};
  std::string token{};
  std::uint32_t connections = 4;
  std::string collection = "loadgen";
  std::uint32_t dim = 128;
  std::uint64_t rows = 100'000;  // ids from 0, for --prepare and for all kinds but search
  std::uint32_t k = 10;
  std::chrono::microseconds timeout{1'000'000};
  Priority priority = Priority::interactive;
  std::uint64_t seed = 1;
};

// Vectors that requests take turns with; enough that no cache of the server holds them all.
inline constexpr std::size_t kVectorsMax = 4'096;
// Rows of one write while preparing.
inline constexpr std::uint64_t kPrepareRows = 1'000;

class ClientTarget final : public Target {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ClientTarget>> connect(
      const ClientTargetOptions& options);

  // Makes the collection, when it is not there, and writes all its rows: coordinates between -1 and
  // 1, from the seed. Tells how far it is. Blocks until the last row is durable.
  [[nodiscard]] Status prepare(const std::function<void(std::uint64_t)>& progress);

  void send(std::size_t index, std::uint8_t kind, Records& records) override;
  // Closes the connections, which ends all calls, and makes new ones.
  void give_up() override;

 private:
  ClientTarget(Client client, const ClientTargetOptions& options);

  template <typename T>
  Callback<T> completion(std::size_t index);
  [[nodiscard]] std::span<const float> vector_of(std::uint64_t number) const;

  // The sender's.
  ClientTargetOptions options_;
  std::vector<float> coordinates_;
  std::size_t vectors_ = 0;
  CallOptions call_;
  SearchOptions search_;
  GetOptions get_;
  Random random_;
  Records* records_ = nullptr;  // set before the first request of a run, read by its completions
  // Last: closing it ends the completions that use what stands above.
  Client client_;
};

// What a reply's status means for a request. A deadline that the server saw it could not keep, and
// said so at once with advice when to come again, is a refusal; one that passed is not.
[[nodiscard]] Outcome outcome_of(StatusCode code, const RetryAdvice& retry = {});
[[nodiscard]] Stages stages_of(const ServedStages& served);

}  // namespace vecserve::loadgen
