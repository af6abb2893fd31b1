// Rows that carry their own truth: the vector says which id and version it belongs to, and so does
// the payload, so that a checker in another process can tell a right row from a torn, old or
// invented one. Used by the crash and corruption harnesses and the system tests. Pure functions,
// any thread. Always holds: coordinates are integers below 256, so squared distances are exact in
// any order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vecserve/options.h"
#include "vecserve/types.h"

namespace vecserve::test {

inline constexpr std::uint32_t kCodedDim = 16;
inline constexpr std::uint64_t kOwnerSpan = 1'000'000;  // ids of one owner are below the next one's
inline constexpr std::uint64_t kGroups = 16;

// What a row says about itself. An update of the payload alone makes the two versions differ.
struct CodedVersions {
  std::uint32_t vector = 0;
  std::uint32_t payload = 0;
  friend bool operator==(const CodedVersions&, const CodedVersions&) = default;
};

// l2 over f32, with the fields "owner", "group" and "v" declared and "note" not.
[[nodiscard]] CollectionOptions coded_collection();

[[nodiscard]] std::vector<float> coded_vector(std::uint64_t id, std::uint32_t version);
[[nodiscard]] std::string coded_payload(std::uint64_t id, std::uint32_t version);

// nullopt when any byte differs from what the two functions above make of the id and some version.
[[nodiscard]] std::optional<CodedVersions> decode_coded(const Row& row);

// Owns vectors and payloads of a batch of coded rows, and the inputs that point into them.
class CodedBatch {
 public:
  void add(std::uint64_t id, std::uint32_t version);
  void add_payload_only(std::uint64_t id, std::uint32_t version);  // for update
  void clear();
  // Valid until the next add.
  [[nodiscard]] const std::vector<RowInput>& inputs();

 private:
  struct Held {
    std::uint64_t id;
    std::vector<float> vector;
    std::string payload;
  };
  std::vector<Held> held_;
  std::vector<RowInput> inputs_;
};

}  // namespace vecserve::test
