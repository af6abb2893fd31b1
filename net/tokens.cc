// The token file and its lookup. Digests by OpenSSL, comparison by CRYPTO_memcmp. At start, on
// SIGHUP, and once per hello; any thread. Always holds: nothing of a token is kept or shown, and a
// file with a mistake is refused whole.
#include "net/tokens.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "engine/base/names.h"
#include "net/limits.h"
#include "net/reply.h"

namespace vecserve::net {

namespace {

// The next word of a line; "" at its end.
std::string_view next_word(std::string_view& line) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = line.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool parse_digest(std::string_view hex, Digest& digest) {
  if (hex.size() != 2 * digest.size()) return false;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

std::uint8_t parse_scope(std::string_view word) {
  if (word == "read") return kScopeRead;
  if (word == "write") return kScopeWrite;
  if (word == "admin") return kScopeAdmin;
  return 0;
}

bool parse_grant(std::string_view word, Grant& grant) {
  const std::size_t at = word.find('@');
  if (at == std::string_view::npos) return false;
  grant.collection = word.substr(at + 1);
  if (grant.collection != "*" && !engine::is_valid_name(grant.collection)) return false;
  std::string_view scopes = word.substr(0, at);
  while (!scopes.empty()) {
    const std::string_view scope = scopes.substr(0, scopes.find(','));
    scopes.remove_prefix(std::min(scopes.size(), scope.size() + 1));
    const std::uint8_t bit = parse_scope(scope);
    if (bit == 0) return false;
    grant.scopes |= bit;
  }
  return grant.scopes != 0;
}

Status line_error(std::size_t line, std::string_view why) {
  return Status::invalid_argument("token_file",
                                  "line " + std::to_string(line) + ": " + std::string(why));
}

}  // namespace

std::uint8_t Identity::scopes_on(std::string_view collection) const {
  std::uint8_t scopes = 0;
  for (const Grant& grant : grants) {
    if (grant.collection == "*" || grant.collection == collection) scopes |= grant.scopes;
  }
  return scopes;
}

std::uint8_t Identity::scopes_everywhere() const {
  std::uint8_t scopes = 0;
  for (const Grant& grant : grants) {
    if (grant.collection == "*") scopes |= grant.scopes;
  }
  return scopes;
}

std::uint8_t Identity::scopes_anywhere() const {
  std::uint8_t scopes = 0;
  for (const Grant& grant : grants) scopes |= grant.scopes;
  return scopes;
}

Identity Identity::anybody() {
  return {"anybody", {{"*", kScopesAll}}};
}

Digest digest_of(std::string_view token) {
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

std::string to_hex(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<Tokens> Tokens::parse(std::string_view text) {
  Tokens tokens;
  std::size_t number = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    const std::string_view name = next_word(line);
    if (name.empty() || name.starts_with('#')) continue;
    if (!engine::is_valid_name(name)) {
      return line_error(number, "a name is 1 to 64 of A-Z a-z 0-9 _ -");
    }
    if (tokens.entries_.size() >= limits::tokens_max) return line_error(number, "too many tokens");
    Entry entry;
    entry.identity.name = name;
    if (!parse_digest(next_word(line), entry.digest)) {
      return line_error(number, "after the name stands the token's SHA-256 in 64 hex digits");
    }
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      if (!parse_grant(word, entry.identity.grants.emplace_back())) {
        return line_error(number, "a grant is read, write or admin, then @ and a collection or *");
      }
    }
    if (entry.identity.grants.empty()) return line_error(number, "no grant, such as read@*");
    tokens.entries_.push_back(std::move(entry));
  }
  return tokens;
}

Result<Tokens> Tokens::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(StatusCode::not_found, "cannot read " + path, "token_file");
  std::string text;
  text.resize(limits::token_file_bytes_max + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > limits::token_file_bytes_max) {
    return Status::invalid_argument("token_file", "is larger than 4 MiB");
  }
  return parse(text);
}

const Identity* Tokens::find(std::string_view token) const {
  const Digest digest = digest_of(token);
  const Identity* found = nullptr;
  for (const Entry& entry : entries_) {  // all of them, whichever it is
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) {
      found = &entry.identity;
    }
  }
  return found;
}

}  // namespace vecserve::net
