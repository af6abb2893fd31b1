// Token files: what is accepted and refused line by line, who is found, and what a grant covers.
// The digests are written out, so that the format cannot change unseen. One thread.
// Always holds: no test needs a secret that is not in it.
#include "net/tokens.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "net/limits.h"
#include "net/reply.h"
#include "tests/support/temporary_folder.h"

namespace vecserve::net {
namespace {

// Of "test".
constexpr const char* kDigest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

std::string line(const std::string& rest) {
  return "name " + std::string(kDigest) + " " + rest + "\n";
}

TEST_CASE("tokens: a digest is SHA-256 in hex", "[tokens]") {
  CHECK(to_hex(digest_of("test")) == kDigest);
}

TEST_CASE("tokens: a token is found, others are not", "[tokens]") {
  const std::string text = "# who may come in\n\n  alice\t" + std::string(kDigest) +
                           "  read@* write@books\r\nbob " + to_hex(digest_of("other")) +
                           " read,write,admin@*\n";
  auto tokens = Tokens::parse(text);
  REQUIRE(tokens.ok());
  CHECK(tokens->size() == 2);
  REQUIRE(tokens->find("test") != nullptr);
  CHECK(tokens->find("test")->name == "alice");
  REQUIRE(tokens->find("other") != nullptr);
  CHECK(tokens->find("other")->name == "bob");
  CHECK(tokens->find("") == nullptr);
  CHECK(tokens->find("tes") == nullptr);
  CHECK(tokens->find("test ") == nullptr);
}

TEST_CASE("tokens: grants cover their collections", "[tokens]") {
  auto tokens = Tokens::parse(line("read@* write,admin@books"));
  REQUIRE(tokens.ok());
  const Identity& identity = *tokens->find("test");
  CHECK(identity.scopes_on("films") == kScopeRead);
  CHECK(identity.scopes_on("books") == kScopesAll);
  CHECK(identity.scopes_everywhere() == kScopeRead);
  CHECK(identity.scopes_anywhere() == kScopesAll);
  CHECK(Identity::anybody().scopes_on("x") == kScopesAll);
}

TEST_CASE("tokens: a name may stand twice while a token is replaced", "[tokens]") {
  const std::string text = line("read@*") + "name " + to_hex(digest_of("next")) + " read@*\n";
  auto tokens = Tokens::parse(text);
  REQUIRE(tokens.ok());
  CHECK(tokens->find("test") != nullptr);
  CHECK(tokens->find("next") != nullptr);
}

TEST_CASE("tokens: a mistake refuses the whole file and names the line", "[tokens]") {
  const std::string good = line("read@*");
  for (const std::string& bad :
       {std::string("name\n"), std::string("name abc read@*\n"), line(""), line("read"),
        line("read@"), line("read@a/b"), line("reader@*"), line("read;write@*"), line("@*"),
        "na/me " + std::string(kDigest) + " read@*\n",
        "name " + std::string(kDigest).substr(1) + "g read@*\n"}) {
    CAPTURE(bad);
    auto tokens = Tokens::parse(good + bad);
    REQUIRE_FALSE(tokens.ok());
    CHECK(tokens.status().code() == StatusCode::invalid_argument);
    CHECK(tokens.status().message().find("line 2") == 0);
    CHECK(tokens.status().to_string().find(kDigest) == std::string::npos);
  }
}

TEST_CASE("tokens: there is a bound on their number and on the file", "[tokens]") {
  std::string text;
  for (std::uint32_t i = 0; i < limits::tokens_max; ++i) text += line("read@*");
  CHECK(Tokens::parse(text).ok());
  CHECK_FALSE(Tokens::parse(text + line("read@*")).ok());

  const test::TemporaryFolder folder;
  CHECK(Tokens::load(folder.at("none")).status().code() == StatusCode::not_found);
  const std::string path = folder.at("tokens");
  std::ofstream(path) << line("read@*");
  CHECK(Tokens::load(path).value().size() == 1);
  std::ofstream(path) << std::string(limits::token_file_bytes_max + 1, '\n');
  CHECK(Tokens::load(path).status().field() == "token_file");
}

}  // namespace
}  // namespace vecserve::net
