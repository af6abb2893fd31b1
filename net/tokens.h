// Who may do what: tokens of a file, each with a name and its scopes per collection. Read at start
// and on SIGHUP; asked once per connection, at its hello. Immutable after parsing, any thread.
// Always holds: only SHA-256 digests are kept, and every lookup compares with all of them, each in
// constant time, so that its duration says nothing about a token.
//
// A line of the file: NAME  SHA256-HEX  GRANT...    where a grant is SCOPES@COLLECTION
//   alice  9f86d0...0f00a08  read@* write@books
//   ops    60303a...e752     read,write,admin@*
// Scopes: read, write, admin. "*" means every collection, those to come included. Empty lines and
// lines that begin with # are passed over. A name may stand twice, so that a token can be replaced
// while the old one still works.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/status.h"

namespace vecserve::net {

struct Grant {
  std::string collection;  // "*": every one
  std::uint8_t scopes = 0;
};

// What a connection is allowed, under a name for logs.
struct Identity {
  std::string name;
  std::vector<Grant> grants;

  [[nodiscard]] std::uint8_t scopes_on(std::string_view collection) const;
  [[nodiscard]] std::uint8_t scopes_everywhere() const;  // of the grants for "*"
  [[nodiscard]] std::uint8_t scopes_anywhere() const;    // the union of all grants

  // What everybody is when a server has no tokens.
  [[nodiscard]] static Identity anybody();
};

using Digest = std::array<std::uint8_t, 32>;

[[nodiscard]] Digest digest_of(std::string_view token);
[[nodiscard]] std::string to_hex(const Digest& digest);

class Tokens {
 public:
  Tokens() = default;

  // invalid_argument names the line. At most limits::tokens_max tokens.
  [[nodiscard]] static Result<Tokens> parse(std::string_view text);
  // not_found, or what parse() says.
  [[nodiscard]] static Result<Tokens> load(const std::string& path);

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // The identity of a token; nullptr if it is none of these. Valid as long as this object.
  [[nodiscard]] const Identity* find(std::string_view token) const;

 private:
  struct Entry {
    Digest digest{};
    Identity identity;
  };
  std::vector<Entry> entries_;
};

}  // namespace vecserve::net
