// Keys and values of the database beside the rows' records: which collections there are, their
// counters, the last commit, remembered requests; and the keys of rows. FORMAT.md gives the bytes.
// Comes between the stores and RocksDB. Pure functions, any thread.
// Always holds: every value ends with a checksum over its key and itself, so that neither damage
// nor a value under a wrong key is taken for good; one value has exactly one encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/store/store.h"

namespace vecserve::engine {

inline constexpr std::uint32_t kFormatVersion = 1;

// The whole store as of one commit. Written with every batch.
struct StoreState {
  std::uint64_t sequence = 0;          // of the last commit
  std::uint64_t requests_next = 0;     // requests remembered so far, the forgotten ones included
  std::uint32_t collections_next = 0;  // above every collection id ever used
  std::uint32_t collections = 0;       // how many there are
  // The sum, modulo 2^64, of the checksums of all collection and counters values. It ties them all
  // to this commit: a batch missing in the middle shows even if each collection agrees with itself.
  std::uint64_t meta_hash = 0;
  friend bool operator==(const StoreState&, const StoreState&) = default;
};

struct RequestEntry {
  std::uint64_t ordinal = 0;  // counts all requests from 0
  RequestId id;
  RequestOutcome outcome;
};

// -- Keys: at most 15 bytes, so that a std::string of one never allocates -----------------------

enum class MetaTag : unsigned char {
  format = 1,
  state = 2,
  collection = 3,
  counters = 4,
  dropping = 5,
  request = 6,
};

[[nodiscard]] std::string meta_key(MetaTag tag);
[[nodiscard]] std::string meta_key(MetaTag tag, std::uint32_t number);
// Requests live in a ring, so that forgetting one is overwriting it.
[[nodiscard]] std::string request_key(std::uint64_t ordinal);

inline constexpr std::size_t kRowKeyBytes = 12;
[[nodiscard]] std::string row_key(std::uint32_t collection, std::uint64_t slot);
[[nodiscard]] bool decode_row_key(std::string_view key, std::uint32_t& collection,
                                  std::uint64_t& slot);

// -- Values -------------------------------------------------------------------------------------

// Each encoder replaces `value` and returns the checksum at its end.
std::uint64_t encode_format(std::string_view key, std::string& value);
std::uint64_t encode_state(std::string_view key, const StoreState& state, std::string& value);
std::uint64_t encode_collection(std::string_view key, const StoredCollection& collection,
                                std::string& value);  // id and counters are not part of it
std::uint64_t encode_counters(std::string_view key, const CollectionCounters& counters,
                              std::string& value);
std::uint64_t encode_dropping(std::string_view key, std::string& value);
std::uint64_t encode_request(std::string_view key, const RequestEntry& entry, std::string& value);

// Each decoder returns data_loss for anything that its encoder could not have written under `key`;
// decode_format returns failed_precondition for a newer version.
[[nodiscard]] Status decode_format(std::string_view key, std::string_view value);
[[nodiscard]] Result<StoreState> decode_state(std::string_view key, std::string_view value);
[[nodiscard]] Result<StoredCollection> decode_collection(std::string_view key,
                                                         std::string_view value);
[[nodiscard]] Result<CollectionCounters> decode_counters(std::string_view key,
                                                         std::string_view value);
[[nodiscard]] Status decode_dropping(std::string_view key, std::string_view value);
[[nodiscard]] Result<RequestEntry> decode_request(std::string_view key, std::string_view value);

// The checksum at the end of a value that a decoder has accepted.
[[nodiscard]] std::uint64_t value_checksum(std::string_view value);

// The refusal of a database that a newer version wrote.
[[nodiscard]] Status newer_format(std::uint32_t version);

}  // namespace vecserve::engine
